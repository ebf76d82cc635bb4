"""Pickles of arrays of bytes, as CIFAR's python form is, read without trusting them.

A pickle can name any function to be called; here only those are given that the official files name,
or that Python puts in when the same is written again, and they only make bytes and arrays of bytes,
so a foreign file can do nothing but be refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np


def unpickle(content: bytes) -> dict[str, Any]:
    """The dictionary in a pickle; text of Python 2 is read as latin1.

    Raises:
        UnpicklingError: it asks for anything else. (Of damaged ones nearly any exception can come.)
        ValueError: not a dictionary.
    """
    found = _Unpickler(io.BytesIO(content), encoding="latin1").load()
    if not isinstance(found, dict):
        raise ValueError("not a dictionary")
    return found


class _Unpickler(pickle.Unpickler):
    """Makes dictionaries, lists, numbers, text and arrays of bytes; nothing else can be called."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        """What stands for a global of the official files.

        Raises:
            UnpicklingError: any other.
        """
        allowed: dict[tuple[str, str], Callable[..., Any]] = {
            ("numpy.core.multiarray", "_reconstruct"): _empty_array,
            ("numpy._core.multiarray", "_reconstruct"): _empty_array,
            ("numpy", "ndarray"): np.ndarray,
            ("_codecs", "encode"): _bytes,
            ("numpy", "dtype"): _byte,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, as no CIFAR file does")
        return allowed[module, name]


def _empty_array(*_: object) -> np.ndarray:
    """To be filled by `__setstate__`."""
    return np.empty(0, np.uint8)


def _bytes(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it has text in {encoding!r}")
    return text.encode("latin1")


def _byte(kind: str, *_: object) -> np.dtype[Any]:
    """A dtype of its own, as the pickle sets its state."""
    if kind != "u1":
        raise pickle.UnpicklingError(f"it has data of type {kind!r}, wanted bytes")
    return np.dtype("u1", copy=True)
