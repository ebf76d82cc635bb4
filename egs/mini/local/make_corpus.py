#!/usr/bin/env python3
"""Makes the corpus of this recipe: spoken commands by synthetic voices, in noise.

Thirty voices of espeak-ng (speech.py) say the sentences of a grammar (grammar.py) in noise of
several colours at 5 to 20 dB (noise.py). The voices of train, dev and test are different ones. The
result is three Kaldi-style data directories (wav.scp, text, utt2spk) with three files more, utt2snr
in dB, utt2noise and words.ctm (when each word was said, espeak_events.py), and the same bytes every
time: everything is drawn from seeded generators, and one process says all sentences in one order.

lexicon.txt beside this script holds the pronunciations of the grammar's words. They are facts
looked up in the CMU Pronouncing Dictionary (http://www.speech.cs.cmu.edu/cgi-bin/cmudict), without
the stress; of several pronunciations it lists, those nearest to what espeak-ng says were taken.

Example: make_corpus.py --out corpus --minutes 33
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from grammar import Grammar
from noise import COLOURS, SAMPLING_RATE, pauses, place
from rich.console import Console
from rich.progress import Progress
from speech import VOICES, Synthesiser, Voice

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory

# Minutes of each set for each minute of train.
SHARES = {"train": 1.0, "dev": 3 / 33, "test": 5 / 33}
SNRS = (5.0, 20.0)  # dB


@dataclass(frozen=True)
class Utterance:
    """One recording, as a data directory describes it; snr in dB, duration and times in seconds."""

    id: str
    speaker: str
    text: str
    snr: float
    colour: str
    duration: float
    words: list[tuple[float, float, str]]  # begin, end, word


def make_voice(
    voice: Voice,
    seconds: float,
    espeak: Synthesiser,
    grammar: Grammar,
    rng: np.random.Generator,
    out: Path,
) -> list[Utterance]:
    """Records one voice into out/wav until it has spoken for `seconds`, at least one sentence."""
    espeak.choose(voice)
    utterances: list[Utterance] = []
    spoken = 0.0
    while spoken < seconds or not utterances:
        text = grammar.sentence()
        snr = float(rng.uniform(*SNRS))
        colour = COLOURS[rng.integers(len(COLOURS))]
        rate = espeak.sampling_rate
        around = pauses(rate, rng)
        samples = place(espeak.say(text), rate, around, snr, colour, rng)
        name = f"{voice.speaker}-{len(utterances) + 1:04d}"
        soundfile.write(out / "wav" / f"{name}.wav", samples, SAMPLING_RATE, subtype="PCM_16")
        duration = len(samples) / SAMPLING_RATE
        lead = around[0] / rate
        words = [(begin + lead, end + lead, word) for begin, end, word in espeak.words]
        utterances.append(Utterance(name, voice.speaker, text, snr, colour, duration, words))
        spoken += duration
    return utterances


def write_tables(utterances: list[Utterance], out: Path) -> None:
    """Writes the text files of a data directory, sorted by utterance; paths are relative to it."""
    tables = {
        "wav.scp": [f"wav/{u.id}.wav" for u in utterances],
        "text": [u.text for u in utterances],
        "utt2spk": [u.speaker for u in utterances],
        "utt2snr": [f"{u.snr:.2f}" for u in utterances],
        "utt2noise": [u.colour for u in utterances],
    }
    for file, values in tables.items():
        lines = sorted(f"{u.id} {value}\n" for u, value in zip(utterances, values, strict=True))
        (out / file).write_text("".join(lines), encoding="utf-8")
    times = [
        f"{u.id} 1 {begin:.4f} {end - begin:.4f} {word}\n"
        for u in sorted(utterances, key=lambda u: u.id)
        for begin, end, word in u.words
    ]
    (out / "words.ctm").write_text("".join(times), encoding="utf-8")


def make_corpus(out: Path, minutes: float, seed: int, overwrite: bool = False) -> str:
    """Makes the whole corpus and returns a line that sums it up.

    Raises:
        UserError: `out` exists and `overwrite` is false; espeak-ng is missing or refuses a voice.
    """
    summary = []
    console = Console(stderr=True)
    with (
        atomic_directory(out, "corpus", overwrite) as directory,
        Progress(console=console, disable=not console.is_terminal, transient=True) as progress,
    ):
        task = progress.add_task("voices", total=sum(map(len, VOICES.values())))
        espeak = Synthesiser(seed)
        for index, (name, voices) in enumerate(VOICES.items()):
            (directory / name / "wav").mkdir(parents=True)
            grammar = Grammar(np.random.default_rng([seed, index, 0]))
            rng = np.random.default_rng([seed, index, 1])
            seconds = 60.0 * minutes * SHARES[name] / len(voices)
            utterances: list[Utterance] = []
            for voice in voices:
                utterances += make_voice(voice, seconds, espeak, grammar, rng, directory / name)
                progress.advance(task)
            write_tables(utterances, directory / name)
            summary.append(
                f"{name} {sum(u.duration for u in utterances) / 60:.1f} min, {len(voices)} voices,"
                f" {len(utterances)} utterances,"
                f" {sum(len(u.text.split()) for u in utterances)} words"
            )
    return f"{out}: {'; '.join(summary)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="directory to make")
    parser.add_argument(
        "--minutes",
        type=float,
        default=33.0,
        help="minutes of train (33); dev and test in proportion",
    )
    parser.add_argument("--seed", type=int, default=1, help="another seed, another corpus (1)")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in --out")
    options = parser.parse_args()
    if not options.minutes > 0:
        parser.error(f"--minutes is {options.minutes:g}; it must be above 0")
    if options.seed < 0:
        parser.error(f"--seed is {options.seed}; it must not be negative")
    try:
        print(make_corpus(options.out, options.minutes, options.seed, options.overwrite))
    except UserError as error:
        print(f"make_corpus.py: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
