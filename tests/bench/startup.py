#!/usr/bin/env python3
"""How long a speech training takes until its first minibatch, by the number of utterances.

For each number N a feature directory is made up: transcripts of 5 to 15 words out of 4000, nearly
all distinct, and cuts that share a few stored features of random numbers, one for each length; so
it takes little disk, but the start reads as much as of real ones, out of the system's cache. Lang
directory and denominator graph come from the ordinary commands, the graph from 10,000 transcripts.

Then each in a process of its own, with one thread:

    train       `chainstitch train`, until its first minibatch goes into the network: it compiles
                numerators, by --nj processes, and the first of all makes the index of the data
    resumed     the same with --resume auto, which finds them
    driver      `chainstitch train` of two averaged jobs, until it starts those
    job         `chainstitch train-job`, until its first minibatch goes into the network

The clock runs from the start of the process; the CPU's seconds are without those of --nj. On a
machine that others use, too, the seconds of the CPU tell more than those of the clock; of them is
told apart what PARTS says. The rest is imports, the denominator, the order of the examples and the
network. The peak is of resident memory (VmHWM). Numbers under --not-run are extrapolated, linearly
through the two largest measured. What has been made up under --place is used again.

Example: python tests/bench/startup.py --utterances 1000 10000 --not-run 1000000 --place DIR
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Methods whose CPU time is told apart; one that the code does not have (any more) is shown as "-".
PARTS = {
    "cuts, means": "chainstitch.utils.data.features:FeatureReader.__init__",
    "numerators": "chainstitch.nnet.chain.supervision:NumeratorStore.compiled",
    "features once": "chainstitch.nnet.tasks.utterances:ChainExamples.check_features",
}
MEASURED = ("train", "resumed", "driver", "job")
CONSONANTS = list("bdfghjklmnprstvwzxcq")
VOWELS = [*"aeiou", "aa", "ee", "ii", "oo", "uu"]
NUM_WORDS, DIM, RATE = 4000, 40, 8000
NUM_VALID, NUM_TEXT = 300, 10_000
SPEAKER_UTTERANCES = 100
FRAMES_A_PHONE = 8
ITERATION_FRAMES = 50  # for each utterance of the set: some 20 iterations of any set
FEATURES = f"sampling_rate = {RATE}\nnum_mel_bins = {DIM}\nnum_ceps = {DIM}\n"
CONFIG = f"""[network]
xconfig = \"\"\"
input name=input dim={DIM}
relu-batchnorm-layer name=tdnn1 dim=64 input=Append(-1,0,1)
output-layer name=output
\"\"\"
[training]
passes = 4
minibatch_size = 64
"""


class Corpus:
    """Inputs of trainings of several sizes, made up in `place`."""

    def __init__(self, place: Path) -> None:
        self.place = place
        draw = np.random.default_rng(0)
        self.lexicon: dict[str, list[str]] = {}
        while len(self.lexicon) < NUM_WORDS:
            phones = []
            for _ in range(draw.integers(1, 4)):
                phones += [str(draw.choice(CONSONANTS)), str(draw.choice(VOWELS))]
            phones += [str(draw.choice(CONSONANTS))] * int(draw.integers(2))
            self.lexicon.setdefault("_".join(phones), phones)
        self.words = list(self.lexicon)
        self.likely = 1.0 / np.arange(1, NUM_WORDS + 1) ** 0.7  # some words are frequent
        self.likely /= self.likely.sum()

    def make_common(self) -> None:
        """What all sizes share: config, lang, denominator, validation set."""
        self.place.mkdir(parents=True, exist_ok=True)
        one_command = importlib.util.find_spec("chainstitch.bin.train_image") is None
        (self.place / "train.toml").write_text('task = "speech"\n' * one_command + CONFIG)
        lines = [f"{word} {' '.join(phones)}\n" for word, phones in self.lexicon.items()]
        (self.place / "lexicon").write_text("".join(lines))
        lang, den = self.place / "lang", self.place / "den.npz"
        if not lang.exists():
            command(["lang", self.place / "lexicon", "--grammar", "uniform", "--out", lang])
        if not den.exists():
            sample = self.make_set("text", NUM_TEXT, 0)
            command(["den-graph", self.place / "train.toml", "--data", sample,
                     "--lang", lang, "--out", den])  # fmt: skip
        self.make_set("valid", NUM_VALID, 1)

    def make_set(self, name: str, count: int, seed: int) -> Path:
        """A feature directory; of one seed the shorter one is the beginning of the longer."""
        out = self.place / name
        if (out / "features.toml").exists():
            return out
        (out / "feats").mkdir(parents=True, exist_ok=True)
        draw = np.random.default_rng(seed)
        ids, lengths = [], []
        with gzip.open(out / "cuts.jsonl.gz", "wt", compresslevel=1) as stream:
            for number in range(count):
                chosen = draw.choice(NUM_WORDS, draw.integers(5, 16), p=self.likely)
                words = [self.words[n] for n in chosen]
                phones = sum(len(self.lexicon[word]) for word in words)
                frames = 10 * round((phones + 4) * FRAMES_A_PHONE / 10)
                speaker = f"s{number // SPEAKER_UTTERANCES:06}"
                ids.append(f"{speaker}-{number:08}")
                lengths.append(frames)
                cut = as_cut(ids[-1], speaker, " ".join(words), frames, out)
                stream.write(json.dumps(cut) + "\n")
        self._write_features(out, ids, lengths)
        return out

    def _write_features(self, out: Path, ids: list[str], lengths: list[int]) -> None:
        import h5py

        draw = np.random.default_rng(2)
        with h5py.File(out / "feats" / "feats.h5", "w") as file:
            for frames in sorted(set(lengths)):
                file[f"shared-{frames}"] = draw.normal(size=(frames, DIM)).astype(np.float32)
        np.savez(
            out / "means.npz", cut_ids=np.array(ids), cut_sums=np.zeros((len(ids), DIM)),
            cut_counts=np.array(lengths, np.float64), prior=np.zeros(DIM),
        )  # fmt: skip
        (out / "features.toml").write_text(FEATURES)  # last: then the set is whole


def as_cut(name: str, speaker: str, text: str, frames: int, directory: Path) -> dict[str, Any]:
    """A cut as `chainstitch features` writes it, with features that others have, too."""
    duration, num_samples = frames / 100, frames * RATE // 100
    whole = {"start": 0.0, "duration": duration}
    return {
        "id": name, **whole, "channel": 0,
        "supervisions": [
            {"id": name, "recording_id": name, **whole, "channel": 0, "text": text,
             "speaker": speaker}
        ],
        "features": {
            "type": "kaldi-mfcc", "num_frames": frames, "num_features": DIM, "frame_shift": 0.01,
            "sampling_rate": RATE, **whole, "storage_type": "numpy_hdf5",
            "storage_path": str(directory / "feats" / "feats.h5"),
            "storage_key": f"shared-{frames}", "recording_id": name, "channels": 0,
        },
        "recording": {
            "id": name,
            "sources": [{"type": "file", "channels": [0], "source": f"/corpus/{name}.wav"}],
            "sampling_rate": RATE, "num_samples": num_samples, "duration": duration,
            "channel_ids": [0],
        },
        "type": "MonoCut",
    }  # fmt: skip


def environment() -> dict[str, str]:
    """That of the processes: one thread."""
    return os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def command(arguments: Sequence[object]) -> None:
    """Runs a `chainstitch` command."""
    program = [sys.executable, "-m", "chainstitch.bin.main", *map(str, arguments)]
    subprocess.run(program, check=True, env=environment())


def measure(
    corpus: Corpus, count: int, what: Sequence[str], nj: int
) -> dict[str, dict[str, float]]:
    """Seconds by part and peak megabytes of each kind of start."""
    data = corpus.make_set(f"train{count}", count, 0)
    inputs = {"data": data, "valid": corpus.place / "valid", "lang": corpus.place / "lang",
              "den": corpus.place / "den.npz"}  # fmt: skip
    train: list[object] = ["train", corpus.place / "train.toml", "--device", "cpu"]
    train += ["--num-threads", "1"]
    train += ["--set", f"training.frames_per_iteration={ITERATION_FRAMES * count}"]
    train += [each for name, path in inputs.items() for each in (f"--{name}", path)]
    exps = {name: corpus.place / f"exp{count}_{name}" for name in ("train", "driver")}
    two = ["--set", "training.jobs_initial=2", "--set", "training.jobs_final=2"]
    commands = {
        "train": [*train, "--out", exps["train"], "--overwrite", "--nj", nj],
        "resumed": [*train, "--out", exps["train"], "--resume", "auto"],
        # `false` in place of the jobs: the driver ends there, and leaves what they begin with
        "driver": [*train, "--out", exps["driver"], *two, "--jobs-cmd", "false", "--overwrite",
                   "--nj", nj],
        "job": ["train-job", exps["driver"], "--iteration", "0", "--job", "1", "--device", "cpu",
                "--num-threads", "1"],
    }  # fmt: skip
    found = {}
    for name in MEASURED:
        if name in what or (name == "driver" and "job" in what):  # which begins with its 0.pt
            found[name] = started(commands[name], corpus.place / f"{count}.{name}.json")
    return found


def started(arguments: Sequence[object], report: Path) -> dict[str, float]:
    """A start in a process of its own: its seconds, in all and by part, and its peak."""
    report.unlink(missing_ok=True)
    begin = str(time.monotonic())
    program = [sys.executable, str(Path(__file__).resolve()), "--probe", str(report), begin]
    done = subprocess.run(
        [*program, *map(str, arguments)], capture_output=True, text=True, env=environment()
    )
    if not report.exists() or (done.returncode and "a job failed" not in done.stderr):
        sys.exit(f"{' '.join(map(str, arguments))} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(report.read_text()))


def probe(report: Path, begin: float, arguments: Sequence[str]) -> None:
    """Runs a `chainstitch` command up to the first call of a network, and writes the figures."""
    import torch

    from chainstitch.bin.main import app

    seconds: dict[str, float] = {}
    for name, place in PARTS.items():
        put_clock(name, place, seconds)

    def write() -> None:
        status = Path("/proc/self/status").read_text()
        peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
        clock = time.monotonic() - begin
        figures = {"clock": clock, "cpu": time.process_time(), **seconds, "peak": peak}
        report.write_text(json.dumps(figures))

    def called(module: object, _: object) -> None:
        if type(module).__module__.startswith("chainstitch."):  # lhotse's MFCC is a module, too
            write()
            os._exit(0)

    torch.nn.modules.module.register_module_forward_pre_hook(called)
    try:
        app(arguments)
    except SystemExit as end:
        if "--jobs-cmd" in arguments:  # its jobs failed at once
            write()
        raise end


def put_clock(name: str, place: str, seconds: dict[str, float]) -> None:
    """Has a method add its time to `seconds[name]`."""
    module, _, path = place.partition(":")
    owner_name, _, method = path.partition(".")
    try:
        owner = getattr(importlib.import_module(module), owner_name)
        function: Callable[..., Any] = getattr(owner, method)
    except (ImportError, AttributeError):
        return
    seconds[name] = 0.0

    def timed(*positional: Any, **named: Any) -> Any:
        began = time.process_time()
        try:
            return function(*positional, **named)
        finally:
            seconds[name] += time.process_time() - began

    setattr(owner, method, timed)


def show(label: str, name: str, figures: dict[str, float], note: str = "") -> None:
    """A row of the table."""
    parts = [figures.get(part) for part in PARTS]
    rest = figures["cpu"] - sum(part or 0.0 for part in parts)
    cells = "".join("             -" if part is None else f"{part:14.1f}" for part in parts)
    print(f"{label:>10}  {name:8}{figures['clock']:9.1f}{figures['cpu']:9.1f}{cells}{rest:8.1f}"
          f"{figures['peak']:10.0f}{note}", flush=True)  # fmt: skip


def extrapolated(count: int, measured: dict[int, dict[str, float]]) -> dict[str, float]:
    """The figures of another number of utterances, on the line through the two largest measured."""
    sizes = sorted(measured)[-2:]
    one, other = measured[sizes[0]], measured[sizes[-1]]
    share = (count - sizes[0]) / (sizes[-1] - sizes[0])
    return {key: one[key] + share * (other[key] - one[key]) for key in other}


def main() -> None:
    """Makes up the inputs, measures, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--not-run", type=int, nargs="*", default=[], help="extrapolate to these")
    parser.add_argument("--only", nargs="+", choices=MEASURED, default=MEASURED)
    parser.add_argument("--nj", type=int, default=1, help="processes that compile numerators")
    parser.add_argument("--place", type=Path, required=True)
    options = parser.parse_args()
    corpus = Corpus(options.place.absolute())
    corpus.make_common()
    measured: dict[str, dict[int, dict[str, float]]] = {}
    print(f"{'utterances':>10}  {'what':8}{'clock s':>9}{'CPU s':>9}"
          + "".join(f"{part:>14}" for part in PARTS) + f"{'rest':>8}{'peak MB':>10}")  # fmt: skip
    for count in sorted(options.utterances):
        for name, figures in measure(corpus, count, options.only, options.nj).items():
            measured.setdefault(name, {})[count] = figures
            show(str(count), name, figures)
    for count in options.not_run if len(options.utterances) > 1 else ():
        for name, of_sizes in measured.items():
            show(str(count), name, extrapolated(count, of_sizes), "  not run")

    from chainstitch.utils.log import environment as versions

    found = versions()
    print(f"{found['cpu']}, {found['cores']} cores, python {found['python']}, {found['commit']}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4:])
    else:
        main()
