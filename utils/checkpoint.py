"""Checkpoints: tensors and numbers, written atomically, never unpickled blindly."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.library_stream import for_library


def save(state: dict[str, Any], path: Path | str) -> None:
    """Writes `state` (nested dicts, lists, tensors, numbers) so that `path` is whole or absent.

    Raises:
        OSError: from the file system (a full disk, say); `path` is then as it was.
    """
    with atomic_file(path, "wb") as file, for_library(file) as stream:
        torch.save(state, cast(IO[bytes], stream))


# what checkpoints hold at their top, by whatever part of the program: its type
TYPES: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("model", "stepper", "examples", "progress", "totals"), dict),
    **dict.fromkeys(("front", "ubm", "extractor", "constants"), dict),
    **dict.fromkeys(("next_iteration", "num_iterations", "num_outputs"), int),
    "finished": bool, "rows": str, "log_prior": Tensor, "acoustic_scale": (int, float),
    "image_shape": list,
}  # fmt: skip


def load(path: Path | str, device: str = "cpu", keys: Sequence[str] = ("model",)) -> dict[str, Any]:
    """Reads what `save` wrote.

    Args:
        keys: what it must have at the top.

    Raises:
        UserError: missing, truncated, damaged or foreign file, or one whose parts are of other
            types than TYPES says.
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
    for key, wanted in TYPES.items():
        if key in state and not isinstance(state[key], wanted):
            raise UserError(
                f"checkpoint {path} is not one of ours: its {key!r} is {_kind(state[key])}, wanted "
                f"{_name(wanted)}"
            )
    return dict(state)


def check_model(
    found: Mapping[str, Any], wanted: Mapping[str, Tensor], path: Path | str, of: str
) -> None:
    """That a model read from `path` has the parameters of the network of `of`.

    Raises:
        UserError: it has others; names the first, with what was found and wanted.
    """
    said = difference(found, wanted, "model")
    if said:
        raise UserError(
            f"{path} is of another network than {of}: {said}; put back the file that belongs "
            "there, or train again with --overwrite"
        )


def difference(found: Any, wanted: Any, name: str) -> str:
    """In what two states differ, but for numbers: keys, types, shapes. "" for nothing.

    What is None or empty in `wanted` has not been filled yet, and may be anything of its kind.
    """
    if wanted is None:
        return ""
    if isinstance(wanted, Tensor):
        if not isinstance(found, Tensor):
            return f"{name} is {_kind(found)}, wanted a tensor"
        # a single number, or none, waits for the precision of the rows that it is an estimate of
        waiting = not wanted.dim() or not wanted.numel()
        floats = found.is_floating_point() and wanted.is_floating_point()
        same = found.dtype == wanted.dtype or (waiting and floats)
        if not same or (wanted.numel() and found.shape != wanted.shape):
            return f"{name} is {_kind(found)}, wanted {_kind(wanted)}"
        return ""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return f"{name} is {_kind(found)}, wanted values by name"
        if not wanted:
            return ""
        for key in [*wanted, *found]:
            if (key in wanted) != (key in found):
                return f"{name} has {'a' if key in found else 'no'} {key!r}"
        pairs = [(found[key], value, f"{name}.{key}") for key, value in wanted.items()]
    elif isinstance(wanted, list | tuple):
        if not isinstance(found, list | tuple) or (wanted and len(found) != len(wanted)):
            return f"{name} is {_kind(found)}, wanted {_kind(wanted)}"
        pairs = [(*pair, f"{name}.{n}") for n, pair in enumerate(zip(found, wanted, strict=False))]
    else:
        kind = (int, float) if isinstance(wanted, int | float) else type(wanted)
        return "" if isinstance(found, kind) else f"{name} is {_kind(found)}, wanted {wanted!r}"
    return next(filter(None, (difference(*pair) for pair in pairs)), "")


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        size = "x".join(map(str, value.shape)) or "one number"
        return f"{size} of {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"


def _name(wanted: type | tuple[type, ...]) -> str:
    return " or ".join(
        kind.__name__ for kind in (wanted if isinstance(wanted, tuple) else [wanted])
    )


def iterations(directory: Path | str) -> list[int]:
    """The numbers of the `<iter>.pt` files in an experiment directory, ascending."""
    found = (re.fullmatch(r"(\d+)\.pt", p.name) for p in Path(directory).glob("*.pt"))
    return sorted(int(m.group(1)) for m in found if m)
