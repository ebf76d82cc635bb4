"""Kills and full disks in all stages of a small recipe; what is left of each must be as if undisturbed.

    python -m tests.faults.kills [--kills 1000] [--seed 1] [--disk] [--only TRAIN ...] [--work DIR]

Goes through the stages (small_recipe.py) undisturbed, and then again and again: a stage's files are
removed (or, in every third case, are to be replaced), it is started, killed (-9, or by SIGTERM) at a
random moment, and started again as its person would, until it comes to its end. Then its files must
be the undisturbed ones, bit for bit but for times, and nothing else may be there: no unfinished file,
no lock, no process.

With --disk: the same, but instead of being killed each stage finds a disk with too little room, of
three sizes (on a file system in memory, which must be allowed). It must say so in one line, leave
what was there, and succeed when there is room again.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults import small_recipe
from tests.faults.small_disk import SmallDisk, small_disk
from tests.faults.small_recipe import Running, Stage, made, remove, tree
from tests.toy import write_corpus

SIZES = (0.0, 0.3, 0.8)  # of what a stage needs
ORPHAN_SECONDS = 20.0
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


class Recipe:
    """The stages in a directory, made once undisturbed."""

    def __init__(self, place: Path, kept: Path, wav: Path, only: list[str] | None = None) -> None:
        """Makes all; `kept` gets a copy of each stage's files."""
        self.place, self.kept = place, kept
        small_recipe.settings(place)
        small_recipe.ready()
        self.stages = small_recipe.stages(place, wav)
        self.seconds: dict[str, float] = {}
        self.wanted: dict[str, dict[str, Any]] = {}
        for stage in self.stages:
            for _ in range(2):  # the first compiles
                remove(made(place, stage))
                began = time.monotonic()
                running = Running(stage)
                code = running.wait(600.0)
                assert code == 0, f"{stage.name}: {code}: {running.said()}"
                self.seconds[stage.name] = time.monotonic() - began
            self.wanted[stage.name] = tree(made(place, stage), place)
        self.disturbed = [s for s in self.stages if not only or s.name in only]
        shutil.copytree(place, kept)
        self.all = self.names()

    def names(self) -> set[str]:
        """Of everything there."""
        found = (str(path.relative_to(self.place)) for path in self.place.rglob("*"))
        return {name for name in found if "tfevents" not in name}

    def clear(self, stage: Stage) -> None:
        """Removes a stage's files, and those that later stages have put among them."""
        remove(made(self.place, stage))

    def restore(self, stage: Stage) -> None:
        """All as it was."""
        self.clear(stage)
        for path in made(self.kept, stage):
            to = self.place / path.relative_to(self.kept)
            if path.is_dir():
                shutil.copytree(path, to, symlinks=True)
            else:
                shutil.copy2(path, to)

    def reset(self) -> None:
        """All as it was, whatever there is now."""
        shutil.rmtree(self.place)
        shutil.copytree(self.kept, self.place)

    def finish(self, stage: Stage, overwrite: bool) -> str:
        """Has a person bring a disturbed stage to its end; what went wrong, or ""."""
        for _ in range(3):
            running = Running(stage, overwrite)
            code = running.wait(600.0)
            if code == 0:
                return ""
            if code != 2 or "exists already" not in running.said():
                return f"started again it ended with {code}: {running.said()[-1500:]}"
            if self._same(stage) == "":
                return ""
            overwrite = True
        return f"still refused: {running.said()[-500:]}"

    def _same(self, stage: Stage) -> str:
        found, wanted = tree(made(self.place, stage), self.place), self.wanted[stage.name]
        unlike = [name for name in {*found, *wanted} if found.get(name) != wanted.get(name)]
        return f"differ from the undisturbed: {sorted(unlike)[:8]}" if unlike else ""

    def check(self, stage: Stage) -> str:
        """What is not as it should be after a stage came to its end, or ""."""
        if unlike := self._same(stage):
            return unlike
        own = tree(made(self.kept, stage), self.kept)
        more = self.names() - self.all
        fewer = self.all - self.names() - set(own)
        return f"left: {sorted(more)}, gone: {sorted(fewer)}" if more or fewer else ""


def adopt() -> None:
    """Has processes whose parents die become this one's, so that they are seen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)


def orphans() -> str:
    """Waits for what a killed process left behind; what is still there after a while, or ""."""
    deadline = time.monotonic() + ORPHAN_SECONDS
    while time.monotonic() < deadline:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)
        except ChildProcessError:
            return ""
    return "processes are left"


def kill_at_random(recipe: Recipe, stage: Stage, draw: random.Random, told: Counter[str]) -> str:
    """Disturbs a stage until it comes to its end; what went wrong, or ""."""
    overwrite = draw.random() < 0.33
    if not overwrite:
        recipe.clear(stage)
    kills = 0
    while kills < 3:
        running = Running(stage, overwrite)
        code = running.wait(draw.uniform(0.0, 1.1 * recipe.seconds[stage.name]))
        if code is not None:
            break
        number = signal.SIGKILL if draw.random() < 0.7 else signal.SIGTERM
        os.kill(running.process, number)
        code = running.wait(60.0)
        if number == signal.SIGTERM and "Traceback" in running.said():
            return f"after SIGTERM: {running.said()[-1500:]}"
        if code is None:
            return f"does not end after {number.name}"
        kills += 1
        told[stage.name] += 1
        if wrong := orphans():
            return wrong
        found = made(recipe.place, stage)
        whole = (
            overwrite
            and len(stage.outs) == 1
            and stage.name != "score"
            and "train" not in stage.name
        )
        if whole and found and (unlike := recipe._same(stage)):
            return f"neither old nor new is whole after a kill: {unlike}"
        overwrite = overwrite and bool(found)
    wrong = recipe.finish(stage, overwrite) or orphans() or recipe.check(stage)
    recipe.restore(stage)
    return wrong


def fill_the_disk(recipe: Recipe, stage: Stage, disk: SmallDisk, share: float) -> str:
    """Has a stage find too small a disk, and then one that is large enough; what went wrong."""
    before = disk.free()
    recipe.clear(stage)
    need = disk.free() - before
    there = recipe.names()
    with disk.room(int(share * need)):
        running = Running(stage)
        code = running.wait(120.0)
        said = running.said()
    errors = [line for line in said.splitlines() if ": error: " in line]
    if code != 1:
        return f"ended with {code}, room for {share:.0%} of {need} bytes: {said[-1500:]}"
    if "Traceback" in said or len(errors) != 1 or "No space left" not in errors[0]:
        return f"said: {said[-2500:]}"
    left = [name for name in recipe.names() - there if ".tmp-" in name or ".lock" in name]
    if left:
        return f"left {left}"
    wrong = orphans() or recipe.finish(stage, False) or recipe.check(stage)
    recipe.restore(stage)
    return wrong


def main() -> int:
    """See above; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of stages")
    parser.add_argument("--work", type=Path, help="default: a new directory")
    options = parser.parse_args()
    adopt()
    found = 0
    with tempfile.TemporaryDirectory(dir=options.work) as scratch:
        wav = Path(scratch) / "wav"
        write_corpus(wav)
        if options.disk:
            with small_disk(Path(scratch) / "disk") as disk:
                recipe = Recipe(disk.path / "work", Path(scratch) / "kept", wav, options.only)
                for stage in recipe.disturbed:
                    for share in SIZES:
                        wrong = fill_the_disk(recipe, stage, disk, share)
                        print(f"{stage.name}, room for {share:.0%}: {wrong or 'good'}", flush=True)
                        if wrong:
                            found += 1
                            orphans()
                            recipe.reset()
            return int(found > 0)
        recipe = Recipe(Path(scratch) / "work", Path(scratch) / "kept", wav, options.only)
        times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in recipe.seconds.items())
        print(f"undisturbed: {times}", flush=True)
        draw, told, turns = random.Random(options.seed), Counter[str](), 0
        while sum(told.values()) < options.kills:
            # a stage that takes longer has more moments
            stage = draw.choices(
                recipe.disturbed, [0.3 + recipe.seconds[s.name] for s in recipe.disturbed]
            )[0]
            wrong = kill_at_random(recipe, stage, draw, told)
            turns += 1
            if wrong:
                found += 1
                print(f"{sum(told.values())} kills, {stage.name}: {wrong}", flush=True)
                orphans()
                recipe.reset()
            elif turns % 20 == 0:
                print(
                    f"{sum(told.values())} kills, {turns} stages brought to their end", flush=True
                )
        each = ", ".join(f"{name} {count}" for name, count in sorted(told.items()))
        print(f"{sum(told.values())} kills ({each}), {turns} stages: {found} found", flush=True)
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
