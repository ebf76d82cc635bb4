"""Errors that a person at the terminal caused and can mend.

`bin/main.py` prints them as one line and exits with their code; anything else is a bug and keeps
its traceback. A message says what was found, what was wanted and what to type.
"""

from __future__ import annotations


class UserError(Exception):
    """A failure of the job at hand: bad data, a broken file, a command that went wrong (exit 1)."""

    exit_code = 1


class UsageError(UserError):
    """The command line or a config asks for something that cannot be (exit 2)."""

    exit_code = 2
