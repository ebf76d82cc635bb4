"""The mark of tests that need a k2 that loads; tests/k2/run.sh makes an environment with one."""

from __future__ import annotations

import os

import pytest

from chainstitch.utils.optional import UnusableError, load_k2


def _reason() -> str:
    try:
        load_k2()
    except UnusableError as error:
        if os.environ.get("CHAINSTITCH_REQUIRE_K2", "") == "1":
            raise
        return str(error)
    return ""


REASON = _reason()
needs_k2 = pytest.mark.skipif(bool(REASON), reason=REASON)
