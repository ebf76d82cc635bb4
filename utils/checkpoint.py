"""Checkpoints: tensors and numbers, written atomically, never unpickled blindly."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.library_stream import for_library


def save(state: dict[str, Any], path: Path | str) -> None:
    """Writes `state` (nested dicts, lists, tensors, numbers) so that `path` is whole or absent.

    Raises:
        OSError: from the file system (a full disk, say); `path` is then as it was.
    """
    with atomic_file(path, "wb") as file, for_library(file) as stream:
        torch.save(state, stream)


def load(path: Path | str, device: str = "cpu", keys: Sequence[str] = ("model",)) -> dict[str, Any]:
    """Reads what `save` wrote.

    Args:
        keys: what it must have at the top.

    Raises:
        UserError: missing, truncated, damaged or foreign file.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"checkpoint {path} does not exist; wanted a .pt file that `train` wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # checksums, which torch does not compare
        if damaged is not None:
            raise zipfile.BadZipFile(f"checksum of {damaged}")
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # zip, pickle and runtime errors, depending on where it is cut off
        raise UserError(
            f"checkpoint {path} cannot be read (damaged or not ours: {type(error).__name__}); "
            "delete it, and training resumes from the one before"
        ) from None
    absent = [key for key in keys if not isinstance(state, dict) or key not in state]
    if absent:
        raise UserError(f"checkpoint {path} is not one of ours: it has no {absent[0]!r}")
    return dict(state)


def iterations(directory: Path | str) -> list[int]:
    """The numbers of the `<iter>.pt` files in an experiment directory, ascending."""
    found = (re.fullmatch(r"(\d+)\.pt", p.name) for p in Path(directory).glob("*.pt"))
    return sorted(int(m.group(1)) for m in found if m)
