"""What differs between two experiment directories that ought to be the same, for same_trainings.py.

    train.jsonl     every field that both have, but for seconds; fields within fields likewise
    <iter>.pt       the model's tensors by name, and all other tensors and numbers of BEFORE with
                    those of AFTER whose path ends likewise: natural_gradient/lstm1/0/w is found in
                    stepper/natural_gradient/lstm1/0/w. A tensor without a counterpart is a
                    difference, a number without one is only named.
    final.pt        the model, if asked for

The modules of neither checkout are used, so that what is compared does not compare itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch


@dataclass
class Comparison:
    """What has been compared of a run: counts, and what differs, the first thing first."""

    iterations: int = 0
    tensors: int = 0
    fields: int = 0
    differences: list[str] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)  # in order, each once


def compare_runs(one: Path, other: Path, final: bool) -> Comparison:
    """All that two experiment directories have in common."""
    found = Comparison()
    compare_rows(one, other, found)
    names = [sorted(checkpoints(exp)) for exp in (one, other)]
    if names[0] != names[1]:
        found.differences.append(f"checkpoints {names[0]} and {names[1]}")
    common = sorted(set(names[0]) & set(names[1]))
    found.iterations = len(common)
    if not common:
        found.differences.append("no checkpoint to compare")
    for number in common:
        name = f"{number}.pt"
        compare_states(load(one / name), load(other / name), name, found)
    if final:
        before, after = ({"model": load(exp / "final.pt")["model"]} for exp in (one, other))
        compare_states(before, after, "final.pt", found)
    return found


def checkpoints(exp: Path) -> list[int]:
    """The numbers of the <iter>.pt."""
    return [int(path.stem) for path in exp.glob("*.pt") if path.stem.isdecimal()]


def load(path: Path) -> dict[str, Any]:
    """A checkpoint."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def compare_rows(one: Path, other: Path, found: Comparison) -> None:
    """train.jsonl of both, but for what only one of them tells."""
    rows = [
        [json.loads(line) for line in (exp / "train.jsonl").read_text().splitlines()]
        for exp in (one, other)
    ]
    if len(rows[0]) != len(rows[1]):
        found.differences.append(f"train.jsonl has {len(rows[0])} and {len(rows[1])} rows")
    for number, (before, after) in enumerate(zip(*rows, strict=False), 1):
        compare_fields(before, after, f"train.jsonl row {number} ", found)


def compare_fields(before: Any, after: Any, where: str, found: Comparison) -> None:
    """A row, or a field of one; of dicts what both have."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        found.fields += 1
        texts = [json.dumps(value) for value in (before, after)]  # so that nan is like nan
        if texts[0] != texts[1]:
            found.differences.append(f"{where}{texts[0]} and {texts[1]}")
        return
    for names, which in (
        (before.keys() - after.keys(), "before"),
        (after.keys() - before, "after"),
    ):
        for name in sorted(names):
            found.notes[f"field {name} only {which}"] = None
    for name in before:
        if name in after and name != "seconds":
            compare_fields(before[name], after[name], f"{where}{name} ", found)


def compare_states(
    before: dict[str, Any], after: dict[str, Any], where: str, found: Comparison
) -> None:
    """Two checkpoints: models by name, all else by the ends of paths."""
    models = [dict(leaves(state.pop("model", {}))) for state in (before, after)]
    if not models[0]:
        found.differences.append(f"{where} has no model")
    for path in sorted(models[0].keys() ^ models[1].keys()):
        which = "after" if path in models[0] else "before"
        found.differences.append(f"{where} model/{'/'.join(path)} is not there {which}")
    pairs = [(("model", *path), value, models[1][path])
             for path, value in models[0].items() if path in models[1]]  # fmt: skip
    theirs = dict(leaves(after))
    matched = set()
    for path, value in leaves(before):
        twin = counterpart(path, theirs)
        if twin is not None:
            pairs.append((path, value, theirs[twin]))
            matched.add(twin)
        elif isinstance(value, torch.Tensor):
            found.differences.append(f"{where} {'/'.join(path)}: no such tensor after")
        else:
            found.notes[f"number {path[-1]} only before"] = None
    more = sum(isinstance(value, torch.Tensor) for path, value in theirs.items()
               if path not in matched)  # fmt: skip
    if more:
        found.notes[f"{more} tensors only after"] = None
    for path, value, twin_value in pairs:
        found.tensors += isinstance(value, torch.Tensor)
        if as_bytes(value) != as_bytes(twin_value):
            found.differences.append(f"{where} {'/'.join(path)}: {difference(value, twin_value)}")


def leaves(state: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Tensors and numbers in nested dicts and lists; texts (rows, names) are left out."""
    if isinstance(state, dict):
        items = [(str(key), value) for key, value in state.items()]
    elif isinstance(state, list | tuple):
        items = [(str(number), value) for number, value in enumerate(state)]
    else:
        if isinstance(state, torch.Tensor | int | float):
            yield path, state
        return
    for key, value in items:
        yield from leaves(value, (*path, key))


def counterpart(
    path: tuple[str, ...], theirs: dict[tuple[str, ...], Any]
) -> tuple[str, ...] | None:
    """The path with the longest common end; None if there is no end that one alone has."""
    if path in theirs:
        return path
    for begin in range(len(path)):
        end = path[begin:]
        ending = [each for each in theirs if each[-len(end) :] == end]
        if ending:
            return ending[0] if len(ending) == 1 else None
    return None


def as_bytes(value: Any) -> Any:
    """What must be equal: type, shape and bits of a tensor; a number's type and exact value."""
    if isinstance(value, torch.Tensor):
        flat = value.detach().contiguous().reshape(-1)
        return value.dtype, value.shape, flat.view(torch.uint8).numpy().tobytes()
    return type(value), repr(value)


def difference(one: Any, other: Any) -> str:
    """How far two leaves are apart."""
    if not (isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor)):
        return f"{one} and {other}"
    if one.dtype != other.dtype or one.shape != other.shape:
        return f"{one.dtype} {tuple(one.shape)} and {other.dtype} {tuple(other.shape)}"
    return f"differs by up to {(one.double() - other.double()).abs().max().item():.3g}"
