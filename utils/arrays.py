"""Arrays in numpy's files, .npy and .npz, that may be damaged or somebody else's.

What numpy raises of them is one of a dozen types: of its own reader, of zip, of the Python
tokenizer that takes the header apart, of memory that a header asks for. Here it is ValueError.
"""

from __future__ import annotations

import sys
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

_RAISED = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, IndexError, OverflowError, MemoryError),
    *(SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error),
    RuntimeError,  # of zip: a password is wanted, or a method that it does not have
)


def load_array(path: Path | str) -> np.ndarray[Any, Any]:
    """The array in an .npy file; never a pickle.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or something else.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise
    except _RAISED as error:
        raise ValueError(_said(error)) from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise ValueError("it is an archive of arrays, wanted one array")
    _check_texts(found)
    return found


def load_arrays(path: Path | str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays in an .npz file, by name; never a pickle.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is damaged, or something else.
    """
    try:
        table = np.load(path, allow_pickle=False)
        if isinstance(table, np.ndarray):
            raise ValueError("it is one array, wanted an archive of arrays")
        with table:
            found = {name: table[name] for name in table.files}
    except FileNotFoundError:
        raise
    except _RAISED as error:
        raise ValueError(_said(error)) from None
    for name, array in found.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{name} is no array")
        _check_texts(array)
    return found


def _check_texts(array: np.ndarray[Any, Any]) -> None:
    """Numbers that are no characters make Python itself fail (SystemError) when they are read."""
    if array.dtype.kind == "U" and array.size and array.itemsize:
        letters = np.frombuffer(array.astype(array.dtype.newbyteorder("=")).tobytes(), np.uint32)
        if int(letters.max(initial=0)) > sys.maxunicode:
            raise ValueError("a text has what is no character in it")


def _said(error: BaseException) -> str:
    """One line; numpy's advice to load pickles is for nobody's file."""
    said = " ".join(str(error).split()) or type(error).__name__
    return "it holds no arrays of numbers" if "allow_pickle" in said else said
