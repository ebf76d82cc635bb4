"""Numba's compiler, its results kept from run to run wherever they can be.

Numba keeps them beside the source, or in the user's cache directory. Where neither can be written
to, in a read-only installation with no home, say, it refuses to compile at all. Here it compiles
afresh in every process then, and says so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

import numba

logger = logging.getLogger(__name__)


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """`numba.njit(cache=True, **options)`, without the cache where there is no place for it."""

    def compiled(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError as error:  # all that it says of a cache that has no place
            _warn(str(error).partition(": ")[2])
            return numba.njit(**options)(function)

    return compiled


@cache
def _warn(reason: str) -> None:
    logger.warning(
        "compiled code cannot be kept (%s), so every run compiles it again; let NUMBA_CACHE_DIR "
        "name a directory of your own",
        reason,
    )
