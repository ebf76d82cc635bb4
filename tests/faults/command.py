"""What a row of the table of commands says."""

from __future__ import annotations

from dataclasses import dataclass, field

NOTHING, READS = "", "it writes nothing"


@dataclass(frozen=True)
class Command:
    """How to call a command, and what it has to do with the disk.

    Attributes:
        line: of arguments; goes well in the good world.
        reads: every file that it reads, with its kind (kinds.py), and every directory it is given.
        place: the directory that its output is made in, which is on the full or the read-only disk;
            empty if it writes nothing.
        same: lines whose output is, contains or lies in an input; or why there are none.
        needs: other parts of the world.
        stays: a pattern of names that may be there after a failure.
        reasons: why a fault does not apply.
    """

    line: str
    reads: dict[str, str]
    place: str
    same: list[str] | str
    needs: str = ""
    stays: str = ""
    reasons: dict[str, str] = field(default_factory=dict)
