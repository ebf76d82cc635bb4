"""The blocks of a page in markdown: commands, files and changes that tests carry out."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        language: behind the opening one; title: the file that it is, or "".
        section: the heading above, of any level.
    """

    language: str
    title: str
    text: str
    section: str


def blocks(page: Path) -> list[Block]:
    """Those of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", text[: match.start()]), re.MULTILINE)
        found.append(Block(match[1], match[2] or "", match[3], headings[-1]))
    return found


def commands(block: Block) -> list[list[str]]:
    """The words of each command of a block; lines that end in a backslash go on."""
    if block.language != "bash" or block.title:
        return []
    lines = block.text.replace("\\\n", " ").splitlines()
    return [words for words in (shlex.split(line, comments=True) for line in lines) if words]


def apply(diff: str, root: Path) -> str:
    """Makes the change that a diff shows in a file below `root`; returns the file's name.

    The diff has no line numbers: what stands before each of its hunks must occur exactly once.
    """
    head, *hunks = re.split(r"^@@\n", diff, flags=re.MULTILINE)
    match = re.fullmatch(r"--- a/(\S+)\n\+\+\+ b/(\S+)\n", head)
    assert match is not None and match[1] == match[2], head
    text = (root / match[1]).read_text(encoding="utf-8")
    for hunk in hunks:
        lines = hunk.splitlines()
        assert all(line[:1] in ("", " ", "+", "-") for line in lines), hunk
        before = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "+")
        after = "".join(f"{line[1:]}\n" for line in lines if line[:1] != "-")
        assert text.count(before) == 1, f"{match[1]} has {text.count(before)} times\n{before}"
        text = text.replace(before, after)
    (root / match[1]).write_text(text, encoding="utf-8")
    return match[1]
