"""Kills and full disks in all stages of a small recipe, and what is left of each after them.

    python -m tests.faults.kills [--kills 1000] [--seed 1] [--only STAGE ...] [--work DIR]
    python -m tests.faults.kills --disk [--sizes 0 0.3 0.8] [--kills 0] ...

Goes through the stages (small_recipe.py) undisturbed, and then again and again: a stage's files are
removed (or, in every third case, are to be replaced), it is started, killed (-9, or by SIGTERM) at
a random moment, and started again as its person would, until it comes to its end. Then its files
must be the undisturbed ones, bit for bit but for times, and nothing else may be there: no
unfinished file, no lock, no process.

With --disk each stage finds, instead of being killed, a disk with too little room, of three sizes.
It must say so in one line, leave what was there, and succeed when there is room again.
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
from contextlib import ExitStack
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
        self.stages = small_recipe.stages(place, wav)
        self.seconds: dict[str, float] = {}
        self.needs: dict[str, int] = {}  # bytes on a disk of pages
        self.wanted: dict[str, dict[str, Any]] = {}
        small_recipe.warm_up(small_recipe.stages(kept, wav), kept)
        small_recipe.settings(place)
        for stage in self.stages:
            began = time.monotonic()
            running = Running(stage)
            code = running.wait(600.0)
            assert code == 0, f"{stage.name}: {code}: {running.said()}"
            self.seconds[stage.name] = time.monotonic() - began
            self.needs[stage.name] = small_recipe.size(made(place, stage))
            self.wanted[stage.name] = tree(made(place, stage), place)
        self.disturbed = [s for s in self.stages if not only or s.name in only]
        shutil.rmtree(kept)
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
            if "exists already" not in running.said():
                return f"started again it ended with {code}: {running.said()[-1500:]}"
            if not self.check(stage):
                return ""
            overwrite = True  # as it says; shares that were merged are left, say
        return f"still refused: {running.said()[-500:]}"

    def same(self, stage: Stage) -> str:
        """How a stage's files are not as they should be, or ""."""
        found, wanted = tree(made(self.place, stage), self.place), self.wanted[stage.name]
        unlike = [name for name in {*found, *wanted} if found.get(name) != wanted.get(name)]
        return f"differ from the undisturbed: {sorted(unlike)[:8]}" if unlike else ""

    def check(self, stage: Stage) -> str:
        """What is not as it should be after a stage came to its end, or ""."""
        if unlike := self.same(stage):
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
        if whole and found and (unlike := recipe.same(stage)):
            return f"neither old nor new is whole after a kill: {unlike}"
        overwrite = overwrite and bool(found)
    wrong = recipe.finish(stage, overwrite) or orphans() or recipe.check(stage)
    recipe.restore(stage)
    return wrong


def fill_the_disk(recipe: Recipe, stage: Stage, disk: SmallDisk, share: float) -> str:
    """Has a stage find too small a disk, and then one that is large enough; what went wrong.

    With the largest share the old files are there, and are to be replaced.
    """
    overwrite = share == SIZES[-1] and stage.atomic
    if not overwrite:
        recipe.clear(stage)
    there = recipe.names()
    need = recipe.needs[stage.name]
    with disk.room(int(share * need)):
        running = Running(stage, overwrite)
        code = running.wait(120.0)
        said = running.said()
    errors = [line for line in said.splitlines() if ": error: " in line]
    # of several processes one says why; what the jobs say is in their logs, outside this test
    several = stage.ranks > 1 or "train-job: error" in said
    why = [line for line in errors if "No space left" in line]
    if code != 1:
        return f"ended with {code}, room for {share:.0%} of {need} bytes: {said[-1500:]}"
    if "Traceback" in said or not why or (len(errors) > 1 and not several):
        return f"said: {said[-2500:]}"
    left = [name for name in recipe.names() - there if ".tmp-" in name or ".lock" in name]
    if left:
        return f"left {left}"
    old = tree(made(recipe.kept, stage), recipe.kept)
    if overwrite and tree(made(recipe.place, stage), recipe.place) != old:
        return "what was there is not"
    wrong = orphans() or recipe.finish(stage, overwrite) or recipe.check(stage)
    recipe.restore(stage)
    return wrong


def fill_disks(recipe: Recipe, disk: SmallDisk, sizes: list[float]) -> int:
    """All stages with disks of these sizes; how many went wrong."""
    found = 0
    for stage in recipe.disturbed:
        for share in sizes:
            wrong = fill_the_disk(recipe, stage, disk, share)
            print(f"{stage.name}, room for {share:.0%}: {wrong or 'good'}", flush=True)
            if wrong:
                found += 1
                orphans()
                recipe.reset()
    return found


def kill(recipe: Recipe, kills: int, seed: int) -> int:
    """Random stages, until so many kills are made; how many went wrong."""
    times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in recipe.seconds.items())
    print(f"undisturbed: {times}", flush=True)
    # a stage that takes longer has more moments
    moments = [0.2 + recipe.seconds[stage.name] for stage in recipe.disturbed]
    draw, told, turns, found = random.Random(seed), Counter[str](), 0, 0
    while sum(told.values()) < kills:
        stage = draw.choices(recipe.disturbed, moments)[0]
        wrong = kill_at_random(recipe, stage, draw, told)
        turns += 1
        if wrong:
            found += 1
            print(f"{sum(told.values())} kills, {stage.name}: {wrong}", flush=True)
            orphans()
            recipe.reset()
        elif turns % 20 == 0:
            print(f"{sum(told.values())} kills, {turns} stages at their end", flush=True)
    each = ", ".join(f"{name} {count}" for name, count in sorted(told.items()))
    print(f"{sum(told.values())} kills ({each}), {turns} stages: {found} found", flush=True)
    return found


def main() -> int:
    """See above; the exit code is 1 when something was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, help="default: 1000, with --disk none")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--disk", action="store_true")
    parser.add_argument("--sizes", nargs="*", type=float, default=SIZES, help="shares of the need")
    parser.add_argument("--only", nargs="*", help="names of stages")
    parser.add_argument("--work", type=Path, help="default: a new directory")
    options = parser.parse_args()
    adopt()
    found = 0
    with tempfile.TemporaryDirectory(dir=options.work) as scratch, ExitStack() as stack:
        top = Path(scratch)
        wav = top / "wav"
        write_corpus(wav)
        disk = stack.enter_context(small_disk(top / "disk")) if options.disk else None
        place = (disk.path if disk else top) / "work"
        recipe = Recipe(place, top / "kept", wav, options.only)
        if disk:
            found += fill_disks(recipe, disk, options.sizes)
        kills = options.kills if options.kills is not None else 0 if disk else 1000
        found += kill(recipe, kills, options.seed) if kills else 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
