"""egs/tedlium killed in each of its stages, and what comes of it in the end.

    python -m tests.recipes.kill_tedlium --place DIR [--cmd slurm] [--seed N] [--stages 3 11 ...]

Makes the miniature corpus, runs the recipe on it undisturbed, and then again, to the same place: in
each stage it is killed at a random moment (SIGKILL to the process group of run.sh) and the same
command goes on, until the next stage has begun. Then the files must be the undisturbed ones, bit
for bit but for times and logs: corpora, language models, features, alignments, every network,
lattices, word error rates. It prints a row for each kill, and what differs; the exit code is 1 if
anything does.

It takes some three times as long as the recipe's six minutes on two cores. What is finished in DIR,
corpus and undisturbed run, is used again; so another --seed takes the second part only.

With --cmd slurm all jobs of cmd.sh go through the Slurm that is there. Of one's own that is

    tests/slurm/run.sh --do python -m tests.recipes.kill_tedlium --place DIR --cmd slurm

The jobs that a killed run.sh has in the queue are the business of whoever goes on.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.faults.small_recipe import content

ROOT = Path(__file__).resolve().parents[2]
STAGES = range(1, 16)
RUN_SECONDS = 3600.0  # a run that takes longer hangs
MADE_BY_RUNS = {"data", "exp", "corpus", "q"}


class Recipe:
    """A copy of egs/tedlium, and the command."""

    def __init__(self, place: Path, backend: str) -> None:
        self.place, self.work, self.log = place, place / "work", place / "log"
        egs = place / "egs" / "tedlium"
        shutil.rmtree(egs, ignore_errors=True)
        shutil.copytree(
            ROOT / "egs" / "tedlium", egs, ignore=lambda _, names: MADE_BY_RUNS & set(names)
        )
        if not (place / "utils").exists():
            (place / "utils").symlink_to(ROOT / "utils")
        if backend != "local":
            cmd = (egs / "cmd.sh").read_text()
            (egs / "cmd.sh").write_text(cmd.replace("--backend local", f"--backend {backend}"))
            (egs / "conf" / "queue.toml").write_text("poll = 1.0\n")
        self.command = [
            "bash", str(egs / "run.sh"), "--corpus", str(place / "corpus" / "TEDLIUM_release2"),
            "--conf", "conf/mini", "--work", str(self.work), "--nj", "2", "--device", "cpu",
            "--nets", "tdnn_lstm_1v", "--forms", "backstitch",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        """The recipe in a process group of its own; what it says goes to the log."""
        with self.log.open("wb") as log:
            variables = os.environ | {"OMP_NUM_THREADS": "1", "CHAINSTITCH_OWN_VENV": ""}
            return subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=variables,
                start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        """What the last run has said."""
        return self.log.read_text(errors="replace")

    def stage(self) -> int:
        """The stage that the last run is in."""
        begun = re.findall(r"^[\d-]+ [\d:]+ stage (\d+):", self.said(), re.MULTILINE)
        return int(begun[-1]) if begun else -1

    def finish(self) -> None:
        """Runs it to its end, or exits with what it said."""
        code = self.start().wait(RUN_SECONDS)
        if code:
            sys.exit(f"run.sh ended with {code}:\n{self.said()[-3000:]}")

    def disturb(self, stage: int, seconds: float) -> str:
        """Starts it, and kills it so long after a stage's begin; what came of that."""
        running = self.start()
        deadline = time.monotonic() + RUN_SECONDS
        while self.stage() < stage and running.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        try:
            code = running.wait(seconds)
        except subprocess.TimeoutExpired:
            now = self.stage()
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            last = self.said().strip().splitlines()[-1]
            return f"killed in stage {now} after: {last[:70]}"
        if code:
            sys.exit(f"run.sh ended with {code} in stage {self.stage()}:\n{self.said()[-3000:]}")
        return "had come to its end"


def tree(top: Path) -> dict[str, object]:
    """Names and contents of what a run made, without its logs."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        name = path.relative_to(top)
        if {"log", "q", "events"} & set(name.parts) or "tfevents" in path.name:
            continue
        if path.is_file():
            found[str(name)] = content(path)
    return found


def undisturbed(recipe: Recipe, kept: Path) -> dict[int, float]:
    """Makes the undisturbed run, unless it is there; the seconds that its stages took."""
    if not kept.exists():
        shutil.rmtree(recipe.work, ignore_errors=True)
        recipe.finish()
        shutil.copy(recipe.log, recipe.place / "undisturbed.log")
        recipe.work.rename(kept)
    said = (recipe.place / "undisturbed.log").read_text()
    rows = re.findall(r"^ *(\d+) s  stage (\d+):", said, re.MULTILINE)
    return {int(stage): float(seconds) for seconds, stage in rows}


def main() -> None:
    """Both runs, and a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--place", type=Path, required=True, help="a directory for all of it")
    parser.add_argument("--cmd", choices=("local", "slurm", "sge"), default="local")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--stages", type=int, nargs="+", default=list(STAGES))
    args = parser.parse_args()
    place = args.place.resolve()
    place.mkdir(parents=True, exist_ok=True)
    if not (place / "corpus").exists():
        make = [sys.executable, str(ROOT / "tests" / "corpora" / "tedlium.py")]
        subprocess.run([*make, "--out", str(place / "corpus")], check=True)
    recipe, kept = Recipe(place, args.cmd), place / "undisturbed"
    seconds = undisturbed(recipe, kept)
    print(f"undisturbed: {sum(seconds.values()):.0f} s", flush=True)

    shutil.rmtree(recipe.work, ignore_errors=True)
    draw = random.Random(args.seed)
    for stage in args.stages:
        after = draw.uniform(0.0, max(seconds[stage], 1.0))
        told = recipe.disturb(stage, after)
        print(f"stage {stage:2} of {seconds[stage]:3.0f} s, {after:6.2f} s: {told}", flush=True)
    recipe.finish()

    wanted, found = tree(kept), tree(recipe.work)
    unlike = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    for name in unlike:
        how = "differs" if name in wanted and name in found else "more" if name in found else "gone"
        print(f"{how}: {name}")
    for path in sorted(recipe.work.glob("exp/*/decode_*/**/best_wer")):
        print(f"{path.relative_to(recipe.work)}: {path.read_text().strip()}")
    print(f"{len(found)} files, {len(unlike)} of them not as in the undisturbed run")
    sys.exit(bool(unlike))


if __name__ == "__main__":
    main()
