"""That a command was refused as one should be: in one line, with nothing written or left."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.toy import fingerprint, run


def refused(
    arguments: list[object], place: Path, capsys: pytest.CaptureFixture[str], code: int = 1
) -> str:
    """Runs a command that must fail and leave everything below `place` as it was; its one line."""
    before = fingerprint(place)
    ended, _, line = outcome(arguments, capsys)
    assert ended == code, line
    assert line, "nothing was said"
    assert ".tmp-" not in line and "chainstitch-" not in line.split(": error: ", 1)[1], line
    assert fingerprint(place) == before
    return line


def outcome(arguments: list[object], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The code, what was printed and logged, and the line of the error if there is one."""
    capsys.readouterr()
    code = run(*arguments)
    out, err = capsys.readouterr()
    lines = err.splitlines()
    errors = [line for line in lines if line.startswith("chainstitch ") and ": error: " in line]
    assert len(errors) <= 1 and errors == lines[-1:] * len(errors), err
    assert "Traceback" not in err
    logging.getLogger().handlers.clear()  # of this command, which write to its stderr
    return code, out + err, errors[0] if errors else ""
