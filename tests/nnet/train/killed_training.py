"""Trains and combines, and is killed in it again and again; run by test_survival.py.

    python -m tests.nnet.train.killed_training KILLS SEED WHOLE EXP... -- ARGUMENTS OF TRAIN

Trains and combines to WHOLE undisturbed, then to EXP in processes that are killed (-9) at random
moments of an undisturbed run's time, and resumed. A run that comes to its end is compared with
WHOLE, deleted, and begun anew, until KILLS kills have been made; the last run is let end. Processes
are forked from this one, which has all its modules, so that the time is the training's own. So are
the jobs of iterations that have several; like those of `chainstitch run`, they die with the driver.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import torch

import chainstitch.nnet.tasks.speech  # noqa: F401
from chainstitch.utils import checkpoint
from tests.forked_jobs import command, use_forks
from tests.toy import rows, same_tensors

SAID = tempfile.TemporaryFile("w+")  # noqa: SIM115  what the training that runs says


def train(arguments: list[str], out: Path) -> int:
    """The exit code of a training, and of the combination of its models, in this process."""
    code = command(["train", *arguments, "--out", str(out), "--resume", "auto"])
    if code or (out / "final.pt").exists():
        return code
    return command(["combine", str(out), "--device", "cpu"])


def compare(exp: Path, whole: Path) -> None:
    """Raises AssertionError unless both hold the same run, and nothing else."""
    numbers = checkpoint.iterations(whole)
    assert checkpoint.iterations(exp) == numbers
    for number in numbers:
        one, other = (checkpoint.load(run / f"{number}.pt") for run in (exp, whole))
        assert same_tensors(one["model"], other["model"]), number
        torch.testing.assert_close(
            one["stepper"]["natural_gradient"], other["stepper"]["natural_gradient"], rtol=0, atol=0
        )
    assert rows(exp) == rows(whole)
    final, wanted = (checkpoint.load(run / "final.pt")["model"] for run in (exp, whole))
    assert same_tensors(final, wanted)
    found, wanted_names = (
        sorted(str(path.relative_to(run)) for path in run.rglob("*") if "tfevents" not in path.name)
        for run in (exp, whole)
    )
    assert found == wanted_names
    assert sorted(path.name for path in exp.parent.iterdir()) == [exp.name, whole.name]


def forked(arguments: list[str], out: Path) -> int:
    """The process number of a training in a process of its own."""
    sys.stdout.flush()
    SAID.seek(0)
    SAID.truncate()
    process = os.fork()
    if not process:
        os.dup2(SAID.fileno(), 1)
        os.dup2(SAID.fileno(), 2)
        os._exit(train(arguments, out))
    return process


def ended(process: int, seconds: float) -> bool:
    """Whether the process ends by itself, with code 0, within that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            SAID.seek(0)
            assert os.waitstatus_to_exitcode(status) == 0, SAID.read()
            return True
        time.sleep(0.002)
    return False


def run(kills: int, seed: int, whole: Path, exp: Path, arguments: list[str]) -> None:
    """See above."""
    torch.set_num_threads(1)  # no threads that a fork would lose
    use_forks()
    began = time.monotonic()
    assert train(arguments, whole) == 0
    shutil.rmtree(whole)
    began = time.monotonic()  # the first has compiled
    assert train(arguments, whole) == 0
    seconds = time.monotonic() - began
    draw = random.Random(seed)
    made, whole_runs, states = 0, 0, set()
    while made < kills:
        process = forked(arguments, exp)
        if ended(process, draw.uniform(0.0, 0.7 * seconds)):
            compare(exp, whole)
            shutil.rmtree(exp)
            whole_runs += 1
            continue
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        made += 1
        found = [p.name.split("-")[0] for p in exp.iterdir()] if exp.is_dir() else ["nothing"]
        states.add(".tmp" if ".tmp" in found else max(found))
    assert ended(forked(arguments, exp), 600.0)
    compare(exp, whole)
    print(f"{made} kills, {whole_runs + 1} runs, each {seconds:.1f} s undisturbed: all the same")


if __name__ == "__main__":
    options, rest = sys.argv[1 : sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1 :]
    run(int(options[0]), int(options[1]), Path(options[2]), Path(options[3]), rest)
