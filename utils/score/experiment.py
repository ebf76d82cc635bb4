"""One training run as `train` and `score` left it in `exp/<name>`, and what its name says.

Runs that differ only by seed are called `<name>_s<seed>`, those of a fold `<name>_<fold>_s<seed>`.
The folds have to be listed: a name alone cannot tell a fold from a part of the name.
"""

from __future__ import annotations

import logging
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.classes import is_classified
from chainstitch.utils.score.text import read_text
from chainstitch.utils.score.train_log import number, read_train_log
from chainstitch.utils.score.wer import Scores, score

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """One training run."""

    path: Path
    name: str  # without fold and seed
    fold: str  # "" outside folds
    seed: int | None
    scores: dict[str, Scores]  # by set (a fold's name taken out of the set's)
    train_objf: float | None  # of the last iteration, per frame or image, on the training subset
    valid_objf: float | None
    parameters: int | None
    seconds: float | None  # of training in an iteration, median
    strength: float | None = None  # of backstitch, 0 to 1; see nnet/optim/strength.py
    classified: bool = False  # images, each one "word": its class


def split_name(name: str, folds: Sequence[str] = ()) -> tuple[str, str, int | None]:
    """`tdnn_1a_theo_s2` -> ("tdnn_1a", "theo", 2) when "theo" is one of `folds`."""
    match = re.fullmatch(r"(.+)_s(\d+)", name)
    seed = int(match[2]) if match else None
    stem = match[1] if match else name
    for fold in sorted(folds, key=len, reverse=True):
        if stem.endswith(f"_{fold}") and len(stem) > len(fold) + 1:
            return stem.removesuffix(f"_{fold}"), fold, seed
    return stem, "", seed


def read_experiment(path: Path | str, folds: Sequence[str] = ()) -> Experiment:
    """Reads what `train` and `score` left in `exp/<name>`.

    Raises:
        UserError: no such directory, nothing scored in it, or broken files.
    """
    path = Path(path)
    if not path.is_dir():
        raise UserError(f"{path} does not exist; give directories that `chainstitch train` wrote")
    name, fold, seed = split_name(path.resolve().name, folds)
    scores: dict[str, Scores] = {}
    for directory in sorted(path.glob("decode_*")):
        if not (directory / "hyp").is_file():
            log.warning("%s is left out: run `chainstitch score %s` first", directory, directory)
            continue
        key = _without(fold, directory.name.removeprefix("decode_"))
        if key in scores:
            raise UserError(f"{path}: two decode directories are the set {key!r} of fold {fold!r}")
        ref, hyp = directory / "ref", directory / "hyp"
        scores[key] = score(read_text(ref), read_text(hyp), str(ref), str(hyp))
    if not scores:
        raise UserError(f"{path} holds no scored decode_<set>; run `chainstitch score` there first")
    rows = read_train_log(path / "train.jsonl") if (path / "train.jsonl").is_file() else [{}]
    train = number(rows[-1], "train_diag_objf")
    train = number(rows[-1], "train_objf") if train is None else train
    size = number(rows[-1], "parameters")
    valid = number(rows[-1], "valid_objf")
    parameters = None if size is None else int(size)
    times = [time for row in rows if (time := number(row, "seconds")) is not None]
    seconds = statistics.median(times) if times else None
    classified = any(is_classified(directory) for directory in path.glob("decode_*"))
    return Experiment(
        path, name, fold, seed, scores, train, valid, parameters, seconds,
        run_strength(rows), classified,
    )  # fmt: skip


def run_strength(rows: Sequence[dict[str, Any]]) -> float | None:
    """The mean of the share of backstitch that each iteration had, weighted by its rate squared."""
    shares = [number(row, "backstitch_share") for row in rows]
    weights = [(number(row, "lr") or 0.0) ** 2 for row in rows]
    if not any(shares) or not sum(weights):
        return None
    return sum((s or 0.0) * w for s, w in zip(shares, weights, strict=True)) / sum(weights)


def _without(fold: str, name: str) -> str:
    """`test_theo_strings` -> `test_strings` for the fold "theo"."""
    if not fold:
        return name
    return re.sub(rf"(^|_){re.escape(fold)}(?=_|$)", "", name).strip("_") or name
