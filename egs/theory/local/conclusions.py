"""What the numbers say of the paper's theory: each sentence is chosen by what was measured.

Two numbers are the same if they differ by at most ERRORS standard errors and a tolerance that
leaves room for the next order in 1/n. Where ERRORS standard errors are more than COARSE, nothing is
said but that. How fast something falls with n is the slope of a line through its logarithms, over
those n where it is more than ERRORS standard errors from zero; there have to be three.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from figure import Row, find, series
from quadratic import SIZES, correlated
from training import own_correction

ERRORS = 4.0
SHARE = 0.03  # of (8), at the largest n and in training
FORMULA = 1e-9  # of (17) for a single example: rounding
POWER = 0.25  # of a power of n
RELATIVE = 0.05  # of a bias of the normal distribution
COARSE = 0.25  # of (8), of a power, of a bias: an error that leaves everything open
UNCLEAR = "too few data sets to tell"

Measured = tuple[float, float]  # and its standard error

RULE = (
    "Each sentence follows from the numbers above. Numbers are the same if they differ by at most "
    f"{ERRORS:g} standard errors and {SHARE:g} of (8), {POWER:g} in a power of n, {RELATIVE:.0%} "
    f"of a bias of the last table. Where {ERRORS:g} standard errors are above {COARSE:g}, of (8), "
    "in a power, or of a bias, there are too few data sets to tell."
)


def plus_minus(value: float, error: float, digits: int = 3) -> str:
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def same(found: Measured, wanted: float, tolerance: float, scale: float = 1.0) -> bool | None:
    """Whether a measured number is the wanted one; None where that cannot be told."""
    off, errors = abs(found[0] - wanted), ERRORS * found[1]
    if not off <= errors + tolerance:
        return False
    return True if errors <= COARSE * abs(scale) else None


def above(found: Measured, limit: float = 0.0) -> bool | None:
    """Whether a measured number is above the limit; None where that cannot be told."""
    off = found[0] - limit
    return None if abs(off) <= ERRORS * found[1] else off > 0


def all_of(*verdicts: bool | None) -> bool | None:
    """False if any is, None if any other cannot be told."""
    if False in verdicts:
        return False
    return None if None in verdicts else True


def choose(verdict: bool | None, yes: str, no: str, unclear: str = UNCLEAR) -> str:
    return unclear if verdict is None else yes if verdict else no


def holds(verdict: bool | None) -> str:
    return choose(verdict, " holds", " does not hold", f" ({UNCLEAR} whether it holds)")


def less(one: Measured, other: Measured) -> Measured:
    """The difference, the errors taken to be independent: too large where the data are the same."""
    return one[0] - other[0], math.hypot(one[1], other[1])


def power(values: Sequence[Measured]) -> Measured | None:
    """p and its error where the values, one for each of SIZES, fall as n^-p; None if noise."""
    seen = [(n, *v) for n, v in zip(SIZES, values, strict=True) if abs(v[0]) > ERRORS * v[1]]
    if len(seen) < 3:
        return None
    n, value, error = np.array(seen, dtype=float).T
    weight = (value / np.maximum(error, 1e-3 * np.abs(value))) ** 2  # of the logarithms
    x = np.log(n) - np.average(np.log(n), weights=weight)
    spread = float(weight @ x**2)
    return float(-(weight * x) @ np.log(np.abs(value)) / spread), spread**-0.5


def falls_as_the_square(shares: Sequence[Measured]) -> tuple[bool | None, str]:
    """Whether these shares of (8) are of order 1/n, and so 1/n^2 as a bias; and how it falls."""
    found = power(shares)
    if found is None:
        return None, "is too small or too uncertain to tell how it falls"
    return same(found, 1.0, POWER), f"falls as n^-{plus_minus(1 + found[0], found[1], 2)}"


def quadratic_losses(rows: Sequence[Row], one_step: Row) -> str:
    """(8), (17), the cancellation and footnotes 1 and 2."""
    problem = correlated()
    b, n = problem.bias, SIZES[-1]
    next_share = float(problem.next_bias @ b / (b @ b))
    minimiser, backstitch, constant = (
        series(rows, "correlated", name) for name in ("minimiser", "backstitch", "constant")
    )
    bias = same(minimiser[-1], 1 + next_share / n, SHARE)
    step: Measured = (one_step["share"], one_step["error"])
    formula = all_of(one_step["off_formula"] <= FORMULA, same(step, 1.0, SHARE))
    rest, rest_falls = falls_as_the_square([(m - 1.0, e) for m, e in minimiser])
    left, left_falls = falls_as_the_square(backstitch)
    random = [less(one, other) for one, other in zip(backstitch, constant, strict=True)]
    cost, cost_falls = falls_as_the_square(random)
    cancels = all_of(same(backstitch[-1], 0.0, SHARE), left)
    first = (
        f"For quadratic losses (8){holds(bias)}: at n = {n} the bias is "
        f"{plus_minus(*minimiser[-1])} of it. What (8) leaves out {rest_falls}"
        + choose(rest, "; footnote 1's o(n^2) should read O(1/n^2).", ".", ".")
    )
    second = (
        f" (17){holds(formula)}. The cancellation{holds(cancels)}: {plus_minus(*backstitch[-1])} "
        f"is left at n = {n}, and what is left {left_falls}."
    )
    third = (
        f" That c_t is random (footnote 2) costs {plus_minus(*random[-1])}, which {cost_falls}"
        + choose(
            cost, ": no more than terms of that order.", ": more than terms of that order.", "."
        )
    )
    return first + second + third


def orders(rows: Sequence[Row]) -> str:
    """Examples drawn afresh against shuffled epochs."""

    def at(order: str, alpha: float, condition: str) -> Measured:
        for row in rows:
            a, rate = row["alpha"], row["lr"] * row["n"] / row["interval"]
            wanted = {
                "plain": a == 0,
                "paper": a > 0 and abs(a * (1 + a) * rate - 1) < 1e-9,
                "mended": a > 0 and abs(math.expm1(rate) * a * (1 + a) - 1) < 1e-9,
            }[condition]
            if wanted and (row["order"], a, row["interval"]) == (order, alpha, 1):
                return row["share"], row["error"]
        raise ValueError(f"no row: {order}, alpha {alpha}, {condition}")

    drawn, large, small = (
        at(*which, "paper") for which in (("drawn", 1.0), ("shuffled", 1.0), ("shuffled", 0.3))
    )
    plain = less(at("drawn", 0.0, "plain"), at("shuffled", 0.0, "plain"))
    lr = next(row["lr"] * row["n"] for row in rows if row["alpha"] == 0)
    mended = [at("shuffled", alpha, "mended") for alpha in (0.3, 1.0)]
    predicted = choose(
        same(plain, own_correction(lr), SHARE),
        ", as if by nu / 2 for small nu n",
        f", where {own_correction(lr):.3f} is predicted",
        "",
    )
    over = {True: "over-corrects", False: "under-corrects", None: f"does so ({UNCLEAR} which way)"}
    verdicts = {above((-value, error)) for value, error in (large, small)}
    said = over[verdicts.pop()] if len(verdicts) == 1 else "does not do the same at every alpha"
    if all(same(found, 0.0, SHARE) for found in (large, small)):
        said = "cancels the bias there, too"
    condition = "exp(nu n) = 1 + 1 / (alpha (1 + alpha))"
    return (
        "The paper does not say in what order examples come. Drawn afresh at every step, "
        f"alpha (1 + alpha) nu = 1/n leaves a share of {plus_minus(*drawn)} (alpha = 1): "
        + choose(same(drawn, 0.0, SHARE), "it is cancelled.", "it is not cancelled.", f"{UNCLEAR}.")
        + " In shuffled epochs plain SGD "
        + choose(
            above(plain),
            "corrects a part already",
            "corrects nothing",
            f"may correct a part: {UNCLEAR}",
        )
        + f" ({plus_minus(*plain)} of (8){predicted}); by the same condition backstitch {said}. "
        f"At alpha = 1 {plus_minus(*large)} is left, at alpha = 0.3 {plus_minus(*small)}. "
        + choose(
            all_of(*(same(found, 0.0, SHARE) for found in mended)),
            f"What cancels there is {condition}",
            f"What should cancel there, {condition}, does not",
            f"Whether {condition} cancels there: {UNCLEAR}",
        )
        + ", the last two lines of that table."
    )


def preconditioning(rows: Sequence[Row]) -> str:
    """E[H] that is not I."""
    plain, whitened = (
        series(rows, "stretched", name)[-1] for name in ("backstitch", "backstitch, preconditioned")
    )

    def cancels(found: Measured) -> str:
        verdict = same(found, 0.0, SHARE)
        return choose(verdict, "cancels", "does not cancel", f"({UNCLEAR} whether it cancels)")

    return (
        f"Where E[H] is not I, plain backstitch {cancels(plain)} the bias ({plus_minus(*plain)} is "
        f"left at n = {SIZES[-1]}); preconditioned by the inverse of E[H], as by an ideal natural "
        f"gradient, it {cancels(whitened)} it ({plus_minus(*whitened)})."
    )


def savings(rows: Sequence[Row]) -> str:
    """What comes off the expected loss, with and without a bias."""
    with_bias, without = (
        (row["saving"], row["saving_error"])
        for row in (find(rows, name, "backstitch")[-1] for name in ("correlated", "independent"))
    )
    b = correlated().correction
    cost = float(b @ b / 2)
    most = above((with_bias[0] / 2, with_bias[1] / 2), cost)
    helps = above(with_bias)
    first = choose(
        all_of(helps, most),
        "Most of what the correction saves in expected loss is not the bias",
        "The bias is at least half of what the correction saves in expected loss"
        if helps
        else "The correction saves nothing in expected loss",
        f"How much of what the correction saves in expected loss is the bias: {UNCLEAR}",
    )
    second = choose(above(without), "something", "nothing", f"({UNCLEAR} whether something)")
    return (
        f"{first} ({cost:.3f} of {plus_minus(*with_bias)} at n = {SIZES[-1]}); it saves {second} "
        f"where H and g are independent and there is no bias ({plus_minus(*without)})."
    )


def normal_distribution(rows: Sequence[Row]) -> str:
    """(8) for losses that are not quadratic."""
    parameters = [row for row in rows if "paper" in row]
    variance = next(row for row in parameters if row["parameter"] == "variance")
    after = next(row for row in rows if row["parameter"] == "variance, corrected")

    def near(row: Row, value: str, wanted: float) -> bool | None:
        error = {"bias": "error", "newton": "newton_error"}[value]
        return same((row[value], row[error]), wanted, RELATIVE * abs(wanted), wanted)

    def factor(row: Row) -> Measured:
        """(8) over the measured bias."""
        value = row["paper"] / row["bias"]
        return value, abs(value * row["error"] / row["bias"])

    right = near(variance, "bias", variance["paper"])
    newton = all_of(*(near(row, "newton", row["paper"]) for row in parameters))
    both = all_of(*(near(row, "bias", row["paper"] + row["lacking"]) for row in parameters))
    lowest, highest = (pick(map(factor, parameters)) for pick in (min, max))
    before: Measured = (variance["bias"], variance["error"])
    worse = above(less((abs(after["bias"]), after["error"]), (abs(before[0]), before[1])))
    return (
        "For the variance "
        + choose(
            right,
            "(8) is the bias",
            f"(8) is {plus_minus(*factor(variance), 2)} times the bias",
            f"(8) against the bias: {UNCLEAR}",
        )
        + ". One Newton step "
        + choose(newton, "has", "does not have", f"({UNCLEAR} whether it has)")
        + " the bias of (8) for every parameter; with the third derivatives, "
        f"{variance['lacking']:g}/n here, the sum "
        + choose(both, "is", "is not", f"({UNCLEAR} whether it is)")
        + " that of maximum likelihood"
        + choose(all_of(right is False, newton, both), ": the loss is not quadratic", "", "")
        + ". The paper names no constant; "
        + ("ours changes" if above(less(highest, lowest)) else "ours is not seen to change")
        + f" with the parameter ({lowest[0]:.3g} to {highest[0]:.3g}). The correction (10) turns n "
        f"times the bias from {plus_minus(*before)} into "
        f"{plus_minus(after['bias'], after['error'])}, "
        + choose(worse, "which is worse.", "which is better.", "no better and no worse.")
    )


def conclusions(
    quadratic: Mapping[str, Any], training: Mapping[str, Any], variance: Mapping[str, Any]
) -> list[str]:
    """Lines of Markdown from what the three scripts wrote: the rule, then a list."""
    one_step = next(row for row in training["rows"] if row["order"] == "one step")
    trained = [row for row in training["rows"] if row["order"] != "one step"]
    lines = [*textwrap.wrap(RULE, 92, break_on_hyphens=False), ""]
    for text in (
        quadratic_losses(quadratic["rows"], one_step),
        orders(trained),
        preconditioning(quadratic["rows"]),
        savings(quadratic["rows"]),
        normal_distribution(variance["rows"]),
    ):
        lines += textwrap.wrap(
            text, 92, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
        )
    return lines
