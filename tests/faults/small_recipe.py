"""All stages of a recipe in seconds: each as its commands, and the files that it makes.

The corpus is that of tests/toy.py. Commands run in forks of this process, which has all modules
imported; so do the jobs of iterations that have several, and the two processes that train together:
what a command would start anew takes seconds to import, and a thousand kills want it a thousand
times. Like their originals they die with who started them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import chainstitch.nnet.tasks.speech
import chainstitch.utils.data.extraction  # noqa: F401
from chainstitch.utils import checkpoint
from tests import toy
from tests.forked_jobs import command, fork, use_forks

IVECTORS = """dim = 4
num_gauss = 4
pca_dim = 6
ubm_iterations = 2
iterations = 2
"""
SHORT = (
    *("--set", "training.passes=4", "--set", "training.frames_per_iteration=9000"),
    *("--set", "optim.backstitch.scale=1.0", "--set", "optim.backstitch.interval=2"),
)
JOBS = (
    *("--set", "training.passes=2", "--set", "training.minibatch_size=2"),
    *("--set", "training.frames_per_iteration=2200"),
    *("--set", "training.jobs_initial=2", "--set", "training.jobs_final=2"),
)
# what differs from run to run: times of day, of work, of files
UNLIKE = {"receipt.json", "index.bin", "RESULTS.md"}


@dataclass(frozen=True)
class Stage:
    """What a person types, one line after the other, and what comes of it.

    Attributes:
        outs: what the lines make, as globs below the place; `*` stands for hashes only.
        ranks: in so many processes.
    """

    name: str
    lines: list[list[str]]
    outs: list[str]
    ranks: int = 1

    @property
    def atomic(self) -> bool:
        """Whether its files, one or one directory, are there at once or not at all."""
        return self.lines[0][0] not in ("train", "score", "prepare") and len(self.outs) == 1


def stages(place: Path, wav: Path) -> list[Stage]:
    """The recipe, in a directory that has what `settings` writes."""
    p = {name: str(place / name) for name in ("data", "train_hires", "dev_hires", "lang", "exp")}
    data, train, dev, lang, exp = p.values()
    conf, mfcc = str(place / "train.toml"), str(place / "mfcc.toml")
    ali, tree, den = f"{exp}/ali", f"{exp}/tree", f"{exp}/den.npz"

    def trained(name: str, *more: str) -> list[str]:
        return [
            "train", conf, "--data", train, "--valid", dev, "--lang", lang, "--den", den,
            "--out", f"{exp}/{name}", "--device", "cpu", "--num-threads", "1", "--nj", "1",
            "--resume", "auto", *SHORT, *more,
        ]  # fmt: skip

    features = ["features", mfcc, "--data", f"{data}/train", "--out", train]
    plain, decoded = f"{exp}/plain", f"{exp}/plain/decode_dev"
    decode = ["decode", plain, "--data", dev, "--lang", lang, "--out", decoded, "--nj", "1"]
    return [
        Stage("prepare", [["prepare", "folder", str(wav), data, "--split", "dev=0.2"]],
              ["data/train", "data/dev"]),
        Stage("features", [["features", mfcc, "--data", f"{data}/dev", "--out", dev]],
              ["dev_hires"]),
        Stage("features in parts", [*([*features, "--part", f"{n}/2"] for n in (1, 2)),
                                    [*features, "--merge", "2"]], ["train_hires"]),
        Stage("ivectors", [
            ["ivectors", "train", str(place / "ivector.toml"), "--data", train,
             "--out", f"{exp}/ivector"],
            ["ivectors", "extract", f"{exp}/ivector", "--data", train,
             "--out", f"{exp}/ivectors.h5"],
        ], ["exp/ivector", "exp/ivectors.h5"]),
        Stage("lang", [["lang", str(place / "lexicon"), "--grammar", "uniform", "--out", lang]],
              ["lang"]),
        Stage("den-graph", [["den-graph", conf, "--data", f"{data}/train", "--lang", lang,
                             "--out", den]], ["exp/den.npz"]),
        Stage("train", [trained("plain")], ["exp/plain"]),
        Stage("train in jobs", [trained("jobs", *JOBS)], ["exp/jobs"]),
        Stage("train in two processes", [trained("two")], ["exp/two"], ranks=2),
        Stage("combine", [["combine", plain, "--device", "cpu"]], ["exp/plain/final.pt"]),
        Stage("align", [["align", plain, "--data", train, "--out", ali]], ["exp/ali"]),
        Stage("tree", [["tree", "--data", train, "--ali", ali, "--lang", lang, "--out", tree,
                        "--leaves", "6"]], ["exp/tree"]),
        Stage("decode in parts", [*([*decode, "--part", f"{n}/2"] for n in (1, 2)),
                                  [*decode, "--merge", "2"]],
              ["exp/plain/decode_dev", "exp/plain/graph_*"]),
        Stage("score", [["score", decoded]],
              [f"exp/plain/decode_dev/{name}"
               for name in ("choice.toml", "best_wer", "wer_*", "errors.txt", "per_spk", "scored*")]
              ),
        Stage("plot", [["plot", plain, f"{exp}/jobs", "--out", f"{exp}/objective.png"]],
              ["exp/objective.png"]),
        Stage("compare", [["compare", plain, "--markdown", f"{exp}/RESULTS.md"]],
              ["exp/RESULTS.md"]),
        Stage("export", [["export", plain, "--out", f"{exp}/plain.pt"]], ["exp/plain.pt"]),
    ]  # fmt: skip


def settings(place: Path) -> None:
    """What the stages are given."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "exp").mkdir(exist_ok=True)
    files = {
        "lexicon": toy.LEXICON, "train.toml": toy.TRAINING, "mfcc.toml": toy.FEATURES,
        "ivector.toml": IVECTORS,
    }  # fmt: skip
    for name, text in files.items():
        (place / name).write_text(text)


def made(place: Path, stage: Stage) -> list[Path]:
    """What there is of a stage's files."""
    return sorted(path for out in stage.outs for path in place.glob(out))


def remove(paths: Sequence[Path]) -> None:
    """Deletes files and directories."""
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def size(paths: Sequence[Path]) -> int:
    """Bytes on the disk."""
    files = (path for top in paths for path in [top, *top.rglob("*")])
    return sum(path.stat().st_blocks * 512 for path in files)


def content(path: Path) -> Any:
    """What two files have in common that were made by the same command at another time."""

    def number(digits: str) -> float:
        # figures of two processes that were paused are added up in another order
        return float(f"{float(digits):.9g}" if path.parent.name == "two" else digits)

    if path.name in UNLIKE or "tfevents" in path.name or path.suffix == ".log":
        return "there"
    if path.suffix == ".jsonl":
        rows = [json.loads(line, parse_float=number) for line in path.read_text().splitlines()]
        return [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
    if path.suffix == ".pt" and path.parent.name != "exp":
        return _digest(checkpoint.load(path, keys=()))
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _digest(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.dtype, value.shape, hashlib.sha256(value.numpy().tobytes()).hexdigest()
    if isinstance(value, dict):
        return {key: _digest(of) for key, of in value.items() if key not in ("rows", "seconds")}
    if isinstance(value, list | tuple):
        return [_digest(of) for of in value]
    return value


def tree(paths: Sequence[Path], place: Path) -> dict[str, Any]:
    """Names and contents of files and directories, below `place`; of several event files one."""
    found: dict[str, Any] = {}
    for top in paths:
        for path in [top, *sorted(top.rglob("*"))]:
            name = str(path.relative_to(place))
            if "tfevents" in path.name:
                name = str(path.parent.relative_to(place) / "events")
            found[name] = "directory" if path.is_dir() else content(path)
    return found


# -- running a stage -------------------------------------------------------------------------------


def warm_up(stages: Sequence[Stage], place: Path) -> None:
    """Runs all in this process, which is to be forked then: what they import is imported."""
    torch.set_num_threads(1)  # no threads that a fork would lose
    use_forks()
    settings(place)
    for stage in stages:
        said = io.StringIO()
        if stage.ranks == 1:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = work(stage, False)
            assert code == 0, f"{stage.name}: {code}: {said.getvalue()}"


def work(stage: Stage, overwrite: bool) -> int:
    """The exit code of a stage in this process, which may fork."""
    more = ["--overwrite"] if overwrite else []
    for line in stage.lines:
        takes = [] if line[0] in ("score", "plot", "compare") else more
        if "--overwrite" in takes and line[0] == "train":
            line = [word for word in line if word not in ("--resume", "auto")]
        line = [*line, *takes]
        code = _together(line, stage.ranks) if stage.ranks > 1 else command(line)
        if code:
            return code
    return 0


def _together(line: Sequence[str], ranks: int) -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}

    def rank(number: int) -> int:
        os.environ.update(shared | {"RANK": str(number), "LOCAL_RANK": str(number)})
        return command(line)

    processes = [fork(lambda number=number: rank(number)) for number in range(ranks)]  # type: ignore[misc]

    def hand_on(number: int, _: Any) -> None:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    signal.signal(signal.SIGTERM, hand_on)  # as torchrun does
    codes = []
    for _ in range(ranks):
        code = os.waitstatus_to_exitcode(os.wait()[1])
        codes.append(code)
        if code:  # so do the others, which may wait for this one
            hand_on(signal.SIGTERM, None)
    return next((code for code in codes if code), 0)


class Running:
    """A stage in a process of its own, with what it says."""

    def __init__(self, stage: Stage, overwrite: bool = False) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115

        def begin() -> int:
            for stream in (1, 2):
                os.dup2(self._said.fileno(), stream)
            return work(stage, overwrite)

        self.process = fork(begin)

    def wait(self, seconds: float) -> int | None:
        """The exit code (negative: the signal); None when it has not ended within that time."""
        deadline = time.monotonic() + seconds
        while True:
            number, status = os.waitpid(self.process, os.WNOHANG)
            if number:
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                return None
            time.sleep(0.001)

    def said(self) -> str:
        """Standard output and error."""
        self._said.seek(0)
        return self._said.read()
