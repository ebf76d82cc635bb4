"""Scoring a decode directory: each point of the LM weight and insertion penalty sweep, one choice.

A sweep is decided on a development set and written to `choice.toml`; a test set is scored at that
point. So that nobody tunes on a test set by accident, a set whose name contains "test" is refused
when it holds several points and no choice was given.

Which point wins: fewest errors; of equals the lmwt nearest 10, then the wip nearest 0, then the
smaller lmwt, then the smaller wip.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.score.report import errors_text, per_speaker_text
from chainstitch.utils.score.text import read_text, read_utt2spk
from chainstitch.utils.score.wer import Counts, Scores, by_speaker, score

CENTRE_LMWT, CENTRE_WIP = 10.0, 0.0  # Kaldi's usual LM weight; no insertion penalty

Point = tuple[float, float]  # lmwt, wip


@dataclass(frozen=True)
class Choice:
    """The content of `choice.toml`."""

    lmwt: float = field(metadata={"bounds": "(0, inf)"})
    wip: float = field(metadata={"bounds": "any"})
    set: str  # where it was chosen
    line: str  # the %WER line there
    # how many it was chosen from; 1 = fixed beforehand
    points: int = field(metadata={"bounds": "[1, 1000000000]"})


@dataclass(frozen=True)
class Result:
    """What `score_directory` found."""

    choice: Choice
    scores: Scores  # of this directory, at the chosen point
    edges: list[str]  # sentences on the choice being at the border of the sweep


def read_choice(path: Path | str) -> Choice:
    """Reads a `choice.toml`.

    Raises:
        UsageError: no such file, or not one that `chainstitch score` wrote.
    """
    if not Path(path).is_file():
        raise UsageError(f"{path} does not exist; `chainstitch score` of the dev set writes it")
    return config.load(path, Choice)


def score_directory(
    directory: Path | str, choice: Choice | None = None, allow_sweep: bool = False
) -> Result:
    """Scores `decode_<set>/` and writes the results into it.

    These are `wer_*`, `hyp`, `best_wer`, `choice.toml`, `errors.txt` and `per_spk`.

    Args:
        directory: holds `ref`, `utt2spk` and `hyp_<lmwt>_<wip>`.
        choice: the point to use; None chooses among those that are there.
        allow_sweep: choose on a test set nevertheless.

    Raises:
        UsageError: a sweep on a test set, a choice whose hypotheses are not there.
        UserError: broken or missing files. Nothing is written then.
    """
    directory = Path(directory)
    points = sweep_points(directory)
    set_name = directory.resolve().name.removeprefix("decode_")
    if choice is None:
        refuse_sweep_on_test(directory, set_name, len(points), allow_sweep)
    else:
        points = {point: points[point] for point in [find_point(points, choice, directory)]}

    references = read_text(directory / "ref")
    utt2spk = read_utt2spk(directory / "utt2spk")
    ref_name = str(directory / "ref")
    scored = {
        point: score(references, read_text(path), ref_name, str(path))
        for point, path in points.items()
    }
    best = choose({point: scores.total for point, scores in scored.items()})
    scores = scored[best]
    speakers = by_speaker(scores, utt2spk, str(directory / "utt2spk"))
    if choice is None:
        choice = Choice(best[0], best[1], set_name, scores.total.wer_line(), len(points))

    for point, path in points.items():
        total = scored[point].total
        summary = f"{total.wer_line()}\n{total.ser_line()}\n{_scored_line(scored[point])}\n"
        _write(directory / path.name.replace("hyp_", "wer_", 1), summary)
    _write(directory / "hyp", texts.read(points[best]))
    _write(directory / "errors.txt", errors_text(scores, utt2spk))
    _write(directory / "per_spk", per_speaker_text(speakers, scores.total))
    config.save(choice, directory / "choice.toml")
    _write(directory / "best_wer", scores.total.wer_line() + "\n")
    return Result(choice, scores, edges({p: s.total for p, s in scored.items()}, best))


def sweep_points(directory: Path) -> dict[Point, Path]:
    """The files `hyp_<lmwt>_<wip>` of a decode directory by (lmwt, wip), sorted.

    Raises:
        UserError: there are none, or two for one point.
    """
    points = named_points(directory, "hyp")
    if not points:
        raise UserError(f"{directory} holds no hyp_<lmwt>_<wip>; run `chainstitch decode` first")
    return points


def named_points(directory: Path, kind: str) -> dict[Point, Path]:
    """The files `<kind>_<lmwt>_<wip>` of a decode directory by (lmwt, wip), sorted; maybe none.

    Raises:
        UserError: no such directory, a name that is not so, or two files for one point.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} does not exist; `chainstitch decode` writes it")
    points: dict[Point, Path] = {}
    number = r"(-?\d+(?:\.\d+)?)"
    for path in sorted(directory.glob(f"{kind}_*")):
        match = re.fullmatch(rf"{kind}_{number}_{number}", path.name)
        if match is None:
            raise UserError(
                f"{path} is not named {kind}_<lmwt>_<wip>, e.g. {kind}_10_0.0; rename it"
            )
        point = float(match[1]), float(match[2])
        if point in points:
            raise UserError(f"{path} and {points[point]} are the same point; remove one of them")
        points[point] = path
    return dict(sorted(points.items()))


def refuse_sweep_on_test(directory: Path, name: str, points: int, allow: bool) -> None:
    """Raises UsageError where a point would be chosen on a test set."""
    if "test" in name.lower() and points > 1 and not allow:
        raise UsageError(
            f"{directory} holds {points} sweep points and its name says test; choose on "
            f"dev and pass --choice .../decode_dev/choice.toml (or --allow-sweep)"
        )


def nearest_centre(points: Iterable[Point]) -> Point:
    """The point nearest lmwt 10 and wip 0, which `decode` makes its ctm of."""
    return min(points, key=lambda p: (abs(p[0] - CENTRE_LMWT), abs(p[1] - CENTRE_WIP), p))


def choose(totals: Mapping[Point, Counts]) -> Point:
    """The point (lmwt, wip) that wins, by the rule at the top of this file."""

    def order(point: Point) -> tuple[float, ...]:
        lmwt, wip = point
        return totals[point].errors, abs(lmwt - CENTRE_LMWT), abs(wip - CENTRE_WIP), lmwt, wip

    return min(totals, key=order)


def edges(totals: Mapping[Point, Counts], best: Point) -> list[str]:
    """A sentence for each of lmwt and wip whose best value is the sweep's first or last.

    Silent when a value inside the sweep does as well, and when there is one value only.
    """
    sentences = []
    for axis, name in enumerate(("lmwt", "wip")):
        values = sorted({point[axis] for point in totals})
        ends = {values[0], values[-1]}
        inner = [totals[point].errors for point in totals if point[axis] not in ends]
        if (
            len(values) > 1
            and best[axis] in ends
            and totals[best].errors < min(inner, default=math.inf)
        ):
            sentences.append(
                f"the best {name}, {best[axis]:g}, is at the edge of the sweep "
                f"{values[0]:g} to {values[-1]:g}; decode with a wider one"
            )
    return sentences


def find_point(
    points: Mapping[Point, Path], choice: Choice, directory: Path, what: str = "hypotheses"
) -> Point:
    """The point of a choice among those that there are; UsageError where it is none of them."""
    for point in points:
        if math.isclose(point[0], choice.lmwt) and math.isclose(point[1], choice.wip, abs_tol=1e-9):
            return point
    there = ", ".join(path.name for path in list(points.values())[:4])
    raise UsageError(
        f"{directory} has no {what} for lmwt {choice.lmwt:g} and wip {choice.wip:g} (there: "
        f"{there}{', ...' if len(points) > 4 else ''}); decode it with the same --choice"
    )


def _scored_line(scores: Scores) -> str:
    return f"Scored {len(scores.utterances)} sentences, {len(scores.missing)} not present in hyp."


def _write(path: Path, text: str) -> None:
    with atomic_file(path) as stream:
        stream.write(text)
