"""What a large corpus costs from stage to stage: seconds, peak memory, and how both grow.

The corpus is that of startup.py, N utterances with transcripts of 5 to 15 words out of 4000, of
which every fifth says one of a few short things instead, as in conversations; here as a Kaldi
directory with segments of 0.4 to 3 s, a hundred to a recording and a speaker. All recordings are
one file of silence. No features are made; only the start of a training has startup.py's.

Each stage is a process of its own, as a recipe starts it, with one thread. It runs at SMALL
utterances, at N/10 and at N: what a stage costs at SMALL is mostly Python and imports, and is taken
from the others before the exponent is told by which they grow, 1 being linear. The exponent of the
seconds is that of the processor. Too little to be told is "-". Peaks are those of the system for a
process; the training's is up to its first minibatch. The exit code is 1 where something grows by
more than STEEPEST or needs more than MOST_MB.

    python -m tests.bench.corpus --utterances 100000 --place DIR

Corpus and sets are kept in DIR, and used again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import multiprocessing
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench import startup
from tests.bench.lm import timed

SMALL = 500
STEEPEST = 1.2  # exponent; times of a busy machine are not exact to much less
MOST_MB = 4000.0
LEAST_SECONDS, LEAST_MB = 0.5, 10.0  # what N/10 must cost more than SMALL for an exponent
RATE = 8000
IN_RECORDING = startup.SPEAKER_UTTERANCES
SHORTEST, SPREAD = 0.4, 2.6  # seconds
SAID_OFTEN = 10  # of every fifth utterance's texts
GAP = 0.1  # seconds
NGRAMS = 100_000  # of the grammar; a recipe's does not grow with its text

Figures = tuple[float, float, float]  # seconds, those of the processor, MB


def make(place: Path, count: int) -> None:
    """The inputs of one size, unless they are there."""
    corpus = startup.Corpus(place)
    corpus.make_common()
    made = corpus.make_set(f"train{count}", count, 0)
    out = place / f"kaldi{count}"
    if (out / "utt2spk").exists():
        return
    import numpy as np
    import soundfile

    out.mkdir(exist_ok=True)
    draw = np.random.default_rng(count)
    longest = IN_RECORDING * (SHORTEST + SPREAD + GAP)
    audio = place / "silence.wav"
    soundfile.write(audio, np.zeros(int(longest * RATE), np.int16), RATE)
    often = [" ".join(corpus.words[n : n + 2]) for n in range(0, 2 * SAID_OFTEN, 2)]
    names = ("wav.scp", "text", "segments", "utt2spk")
    files = {name: (out / f"{name}.part").open("w") for name in names}
    before, now = "", 0.0
    with gzip.open(made / "cuts.jsonl.gz", "rt") as cuts:
        for number, line in enumerate(cuts):
            said = json.loads(line)["supervisions"][0]
            name, speaker, text = said["id"], said["speaker"], said["text"]
            if number % 5 == 0:
                text = often[number // 5 % SAID_OFTEN]
            if speaker != before:
                files["wav.scp"].write(f"{speaker} {audio}\n")
                before, now = speaker, 0.0
            seconds = SHORTEST + SPREAD * float(draw.random())
            files["segments"].write(f"{name} {speaker} {now:.2f} {now + seconds:.2f}\n")
            files["text"].write(f"{name} {text}\n")
            files["utt2spk"].write(f"{name} {speaker}\n")
            now += seconds + GAP
    for name in names:  # utt2spk last: then all is whole
        files[name].close()
        (out / f"{name}.part").rename(out / name)


def steps(place: Path, count: int, out: Path) -> dict[str, list[object]]:
    """The commands in their order, by name."""
    kaldi, lexicon, conf = place / f"kaldi{count}", place / "lexicon", place / "train.toml"
    data, lang, big, small = (out / n for n in ("data", "lang", "big.arpa.gz", "small.arpa.gz"))
    data_steps = {
        "subset even": ["subset", data, "--count", count // 2, "--out", out / "even"],
        "subset shortest": [
            "subset", data, "--count", count // 2, "--how", "shortest", "--out", out / "shortest",
        ],
        "subset speakers": [
            "subset", data, "--count", count // 2, "--how", "speakers", "--out", out / "speakers",
        ],
        "remove-duplicates": ["remove-duplicates", data, "--max", 30, "--out", out / "nodup"],
        "combine-short": ["combine-short", data, "--min", 1.55, "--out", out / "combined"],
        "split-speakers": ["split-speakers", data, "--seconds", 60, "--out", out / "split"],
        "extend": ["extend", data, "--start", 0.05, "--end", 0.05, "--out", out / "longer"],
        "to-kaldi": ["to-kaldi", data, "--out", out / "kaldi"],
    }  # fmt: skip
    return {
        "prepare kaldi": ["prepare", "kaldi", kaldi, data],
        "validate": ["validate", data, "--lexicon", lexicon],
        "info": ["info", data],
        **{name: ["data", *step] for name, step in data_steps.items()},
        "lm train": ["lm", "train", data, "--order", 3, "--out", big],
        "lm prune": ["lm", "prune", big, "--ngrams", NGRAMS, "--out", small],
        "lang": ["lang", lexicon, "--lm", small, "--words-from", data, "--out", lang],
        "den-graph": ["den-graph", conf, "--data", data, "--lang", lang, "--out", out / "den.npz"],
    }


def measure(place: Path, count: int) -> dict[str, Figures]:
    """The figures of all stages at one size."""
    making = multiprocessing.Process(target=make, args=(place, count))
    making.start()  # in a process of its own: a peak counts from what its parent has
    making.join()
    if making.exitcode:
        sys.exit(f"making {count} utterances failed")
    found: dict[str, Figures] = {}

    def tell(name: str, figures: Figures) -> None:
        found[name] = figures
        cells = f"{figures[0]:9.1f}{figures[1]:9.1f}{figures[2]:9.0f}"
        print(f"{count:>9} {name:18}{cells}", flush=True)

    with tempfile.TemporaryDirectory(dir=place) as out:
        for name, step in steps(place, count, Path(out)).items():
            seconds, busy, peak, _ = timed(*step)
            tell(name, (seconds, busy, peak))
    starts = startup.measure(startup.Corpus(place), count, ("train", "resumed"), 1)
    for name, each in starts.items():
        label = {"train": "start of train", "resumed": "start, resumed"}[name]
        tell(label, (each["clock"], each["cpu"], each["peak"]))
    for exp in place.glob(f"exp{count}_*"):
        shutil.rmtree(exp)
    return found


def exponent(small: float, tenth: float, whole: float, least: float) -> float | None:
    """By which power of N that grows which is above the cost of SMALL; None: too little to say."""
    if tenth - small < least or whole <= small:
        return None
    return math.log10((whole - small) / (tenth - small))


def main() -> None:
    """Measures at three sizes, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=1_000_000, help="a multiple of 1000")
    parser.add_argument("--place", type=Path, required=True, help="where the corpora are made")
    options = parser.parse_args()
    os.environ |= startup.environment()
    place, count = options.place.resolve(), options.utterances
    place.mkdir(parents=True, exist_ok=True)
    small, tenth, whole = (measure(place, number) for number in (SMALL, count // 10, count))
    print(f"\n{count} utterances       seconds  processor   exponent   peak/MB   exponent")
    wrong = []
    for name, (seconds, busy, peak) in whole.items():
        rises = (
            exponent(small[name][1], tenth[name][1], busy, LEAST_SECONDS),
            exponent(small[name][2], tenth[name][2], peak, LEAST_MB),
        )
        cells = ["         -" if rise is None else f"{rise:10.2f}" for rise in rises]
        print(f"{name:18}{seconds:12.1f}{busy:11.1f} {cells[0]}{peak:10.0f} {cells[1]}")
        if peak > MOST_MB or any(rise is not None and rise > STEEPEST for rise in rises):
            wrong.append(name)
    print(f"in all{sum(each[0] for each in whole.values()):24.1f}")
    if wrong:
        sys.exit(f"grows faster than linearly, or above {MOST_MB:.0f} MB: {', '.join(wrong)}")


if __name__ == "__main__":
    main()
