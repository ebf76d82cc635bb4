"""What comes of faults, where it is not the rule that the message names the broken file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fails:
    """A pattern that the line of the error has, and the exit codes that may be."""

    text: str
    codes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Well:
    """It goes well, and why that is right."""

    reason: str


EXPECTED: dict[tuple[str, str, str], Fails | Well] = {}
NO_PATH: dict[tuple[str, str], str] = {}
