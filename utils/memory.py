"""Whether this machine's memory can hold what is asked for, before it is asked for.

Linux promises more memory than there is and kills whoever touches too much of it, without a word.
"""

from __future__ import annotations

import os

from chainstitch.utils.errors import UsageError


def total_memory() -> int:
    """Bytes of memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def refuse_more(wanted: float, what: str, remedy: str) -> None:
    """That `wanted` bytes are no more than there are.

    Raises:
        UsageError: they are more; says how many `what` wants, how many there are, and the remedy.
    """
    there = total_memory()
    if wanted > there:
        raise UsageError(
            f"{what} wants {wanted / 1e9:.0f} GB of memory, this machine has {there / 1e9:.0f} GB; "
            f"{remedy}"
        )
