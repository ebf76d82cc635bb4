"""Every command, every input, every fault: one line that says what is wrong, and nothing harmed.

The table is in commands.py (lines that go well, and what they read and write), kinds.py (how a
kind of file is broken) and expected.py (what comes of it where that is not the rule). README.md
says how to add a command.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from pathlib import Path

import pytest

from chainstitch.bin.main import COMMANDS as PROGRAMS
from tests.faults import engine
from tests.faults.command import Command
from tests.faults.commands import COMMANDS
from tests.faults.expected import EXPECTED, NO_PATH, Fails, Well
from tests.faults.kinds import CONTENT, FAULTS, KINDS, PLACE
from tests.faults.world import World

LOG = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d (INFO|WARNING) ")
DEBRIS = re.compile(r"\.tmp-|\.lock$|\.parts$|\.beside$")


@dataclasses.dataclass(frozen=True)
class Row:
    """A fault of a command; `what` is the file that is broken, the line or the moment."""

    command: str
    fault: str
    what: str

    def __str__(self) -> str:
        return f"{self.command}: {self.what} {self.fault}"


def programs() -> dict[str, typing.Any]:
    """Every command, subcommands of groups included, with its function."""
    found = {}
    for name, function in PROGRAMS.items():
        parts = getattr(inspect.getmodule(function), "SUBCOMMANDS", None)
        inside = {f"{name} {part}": does for part, does in (parts or {}).items()}
        found |= inside or {name: function}
    return found


def rows() -> list[Row]:
    """All rows of the table."""
    found = []
    for name, command in COMMANDS.items():
        for file, kind in command.reads.items():
            ways = {fault: KINDS[kind].way(fault) for fault in CONTENT}
            found += [Row(name, f, file) for f, way in ways.items() if not isinstance(way, str)]
        if command.place:
            found += [Row(name, "read-only", command.place), Row(name, "full disk", command.place)]
            found += [Row(name, "killed", moment) for moment in ("begun", "made")]
        if not isinstance(command.same, str):
            found += [Row(name, "output = input", line) for line in command.same]
    return found


def parameters() -> list[object]:
    """The rows as pytest wants them.

    Where another command reads the same kind of file, its row has been through the same reader;
    there one fault is enough, and the others are for --thorough. So is the disk of a command that
    is called in another way.
    """
    seen: set[tuple[str, str]] = set()
    found = []
    for row in rows():
        kind = COMMANDS[row.command].reads.get(row.what)
        always = "missing" if kind == "directory" else "garbage"
        again = kind is not None and row.fault != always and (kind, row.fault) in seen
        variant = row.command not in programs() and row.fault in PLACE[:-1]
        longer = again or variant or (row.fault == "killed" and row.what == "begun")
        seen.add((str(kind), row.fault))
        found.append(pytest.param(row, id=str(row), marks=[pytest.mark.thorough] * longer))
    return found


def setting(world: World, command: Command) -> Path:
    """A copy of what a command needs of the world."""
    named = [word for word in command.line.split() if not word.startswith("-")]
    world.fresh(
        ["place", *named, *command.needs.split(), *(f.split("/*")[0] for f in command.reads)]
    )
    return world.place


def attempt(world: World, row: Row, **options: str) -> engine.Seen:
    """The command of a row, run in what was made ready."""
    line = row.what if row.fault == "output = input" else COMMANDS[row.command].line
    seen = engine.run(engine.Attempt(line.split(), world.place, **options))
    if seen.no_mounts:
        pytest.skip(seen.no_mounts)
    return seen


@pytest.mark.parametrize("row", parameters())
def test_fault(row: Row, world: World) -> None:
    command = COMMANDS[row.command]
    setting(world, command)
    if row.fault == "killed":
        killed(row, world)
        return
    options = {"read-only": {"read_only": row.what}, "full disk": {"full": row.what}}
    if row.fault in CONTENT:
        way = KINDS[command.reads[row.what]].way(row.fault)
        assert not isinstance(way, str)
        way(world.file(row.what))
    seen = attempt(world, row, **options.get(row.fault, {}))
    expected = EXPECTED.get((row.command, row.fault, row.what)) or rule(row)
    assert not seen.left, "processes of it are still there"
    if isinstance(expected, Well):
        assert seen.code == 0, seen.err
        assert re.search(expected.says, seen.err), seen.err
        assert not debris(seen)
        return
    line = refused(seen)
    assert seen.code in expected.codes, seen.err
    assert re.search(expected.text, line), f"{line!r} does not say {expected.text!r}"
    changed = {name for name in seen.before if seen.after.get(name) != seen.before[name]}
    assert not changed
    new = {name for name in seen.after if name not in seen.before}
    assert not {name for name in new if not (command.stays and re.search(command.stays, name))}


def rule(row: Row) -> Fails:
    """What comes of a fault where nothing else is said: the message names it."""
    if row.fault == "read-only":
        return Fails("Read-only file system|read-only", (1,))
    if row.fault == "full disk":
        return Fails("No space left on device|disk", (1,))
    if row.fault == "output = input":
        return Fails(".", (2,))
    top = [word for word in COMMANDS[row.command].line.split() if row.what.startswith(word)]
    names = {row.what, Path(row.what).name, row.what.split("/")[0], *top}
    return Fails("|".join(map(re.escape, names)), (1, 2))


def refused(seen: engine.Seen) -> str:
    """The one line of an error, after what was logged."""
    assert seen.code in (1, 2), f"exit code {seen.code}: {seen.err}"
    *before, last = seen.err.splitlines()
    assert [line for line in before if not LOG.match(line)] == []
    assert re.match(r"chainstitch( [a-z-]+)?: error: ", last), seen.err
    return last


def debris(seen: engine.Seen) -> list[str]:
    """Names of what should have been cleared away."""
    return [name for name in seen.after if DEBRIS.search(name)]


def killed(row: Row, world: World) -> None:
    """Killed, and run again: it goes well, and leaves what a run that nobody killed leaves."""
    first = attempt(world, row, kill=row.what)
    assert first.code == -9, f"it was not killed, but ended with {first.code}: {first.err}"
    changed = {name for name in first.before if first.after.get(name) != first.before[name]}
    assert not changed
    again = attempt(world, row)
    assert again.code == 0, again.err
    assert not debris(again)
    assert names(again) == whole(row.command, world)


WHOLE: dict[str, set[str]] = {}


def whole(name: str, world: World) -> set[str]:
    """The names that a command leaves which nobody killed."""
    if name not in WHOLE:
        setting(world, COMMANDS[name])
        seen = attempt(world, Row(name, "none", ""))
        assert seen.code == 0, seen.err
        assert not debris(seen) and not seen.left
        WHOLE[name] = names(seen)
    return WHOLE[name]


def names(seen: engine.Seen) -> set[str]:
    """What there is afterwards, but for what has a time or a process in its name."""
    return {re.sub(r"events\.out.*|-\d{8}-\d{6}-\d+", "", name) for name in seen.after}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_good_world_is_good(name: str, world: World) -> None:
    assert whole(name, world)


@pytest.mark.parametrize("name", programs())
def test_every_command_has_rows_for_every_fault(name: str) -> None:
    own = {
        key: command
        for key, command in COMMANDS.items()
        if key == name or key.startswith(name + " ")
    }
    assert own, f"{name} has no rows: see tests/faults/README.md"
    given = {row.fault for row in rows() if row.command in own}
    reasons = {fault for command in own.values() for fault in command.reasons}
    for command in own.values():
        if not command.place:
            reasons |= {"read-only", "full disk", "output = input", "killed"}
        if not command.reads:
            reasons |= set(CONTENT)
        if isinstance(command.same, str):
            reasons.add("output = input")
        for kind in command.reads.values():
            reasons |= {fault for fault in CONTENT if isinstance(KINDS[kind].way(fault), str)}
    missing = [fault for fault in FAULTS if fault not in given | reasons]
    assert not missing, f"{name} has no rows for {missing}, and no reason why not"


@pytest.mark.parametrize("name", programs())
def test_every_path_that_a_command_is_given_is_in_the_table(name: str) -> None:
    function = programs()[name]
    lines = " ".join(
        command.line
        for key, command in COMMANDS.items()
        if key == name or key.startswith(name + " ")
    )
    for parameter, kind in typing.get_type_hints(function).items():
        if "Path" not in str(kind) or (name, parameter) in NO_PATH:
            continue
        option = f"--{parameter.rstrip('_').replace('_', '-')}"
        is_argument = "ArgumentInfo" in str(
            typing.get_type_hints(function, include_extras=True)[parameter]
        )
        assert is_argument or option in lines, f"no line of {name} has {option}"
