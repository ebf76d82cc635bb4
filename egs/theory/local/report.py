#!/usr/bin/env python3
"""RESULTS.md and bias.png from the numbers of quadratic.py, training.py and variance.py."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from conclusions import conclusions, plus_minus
from figure import Row, draw, find, series
from quadratic import SIZES, correlated, independent, stretched
from record import load
from training import ORDERS, N

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.outputs import check_file


def table(heading: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (heading, ["---"] * len(heading), *lines)]


def sizes_table(rows: Sequence[Row]) -> list[str]:
    """Share of (8) against n."""
    problem = correlated()
    b = problem.bias
    wanted = 1.0 + np.array([problem.next_bias @ b / (b @ b) / n for n in SIZES])
    columns = [
        ("minimiser", "correlated", "minimiser"),
        ("backstitch", "correlated", "backstitch"),
        ("constant (10)", "correlated", "constant"),
        ("H, g independent: minimiser", "independent", "minimiser"),
        ("the same, backstitch", "independent", "backstitch"),
        ("E[H] not I: backstitch", "stretched", "backstitch"),
        ("the same, preconditioned", "stretched", "backstitch, preconditioned"),
    ]
    cells = [[plus_minus(*s) for s in series(rows, *which)] for _, *which in columns]
    cells.insert(0, [f"{value:.3f}" for value in wanted])
    heading = ["n", "(8) and next term", *(name for name, *_ in columns)]
    lines = [[str(n), *line] for n, *line in zip(SIZES, *cells, strict=True)]
    theory = [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, unwhitened_share(), 0.0]
    return table(heading, [*lines, ["leading", *(f"{value:.3f}" for value in theory)]])


def unwhitened_share() -> float:
    """What (17), which lacks the Hbar^-1 of (10), should leave of (8) in the stretched problem."""
    problem = stretched(correlated())
    made = np.einsum("kij,kj->ki", problem.hessian, problem.gradient).mean(axis=0)
    left = problem.bias - np.linalg.solve(problem.mean_hessian, made)
    return float(left @ problem.bias / (problem.bias @ problem.bias))


def savings_table(rows: Sequence[Row]) -> list[str]:
    """Saving of expected loss against n."""
    problem = correlated()
    b = problem.correction
    columns = [
        ("correlated", "backstitch", problem.saving),
        ("correlated", "constant", float(1.5 * b @ b)),
        ("independent", "backstitch", independent(problem).saving),
    ]
    cells = [
        [plus_minus(r["saving"], r["saving_error"]) for r in find(rows, *which)]
        for *which, _ in columns
    ]
    lines = [[str(n), *line] for n, *line in zip(SIZES, *cells, strict=True)]
    lines.append(["leading", *(f"{predicted:.3f}" for *_, predicted in columns)])
    heading = ["n", "backstitch", "constant (10)", "H, g independent: backstitch"]
    return table(heading, lines)


def training_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        [
            row["order"],
            f"{row['alpha']:g}",
            str(row["interval"]),
            f"{row['lr'] * row['n']:.3f}",
            f"{row['predicted']:.3f}",
            f"{row['fixed_point']:.3f}" if "fixed_point" in row else "",
            plus_minus(row["share"], row["error"]),
        ]
        for row in rows
        if row["order"] in ORDERS
    ]
    heading = ["order", "alpha", "m", "nu n", "predicted", "fixed point", "measured"]
    return table(heading, lines)


def variance_table(rows: Sequence[Row]) -> list[str]:
    lines = [
        [
            row["parameter"],
            f"{row['paper']:g}",
            plus_minus(row["newton"], row["newton_error"]),
            f"{row['lacking']:g}",
            f"{row['paper'] + row['lacking']:g}",
            plus_minus(row["bias"], row["error"]),
            f"{row['paper'] / (row['paper'] + row['lacking']):.3g}",
        ]
        for row in rows
        if "paper" in row
    ]
    heading = [
        "parameter", "(8)", "measured, one Newton step", "third derivatives", "both",
        "measured, maximum likelihood", "(8) / both",
    ]  # fmt: skip
    return table(heading, lines)


def receipt(name: str, content: Row) -> str:
    """One line: sizes, seed, commit, versions and hardware of a file."""
    place = dict(content["environment"])
    size = content.get("draws") or content["rows_trained"]
    commit = f"commit {place['commit']}" if place["commit"] else "no commit"
    versions = ", ".join(f"{key} {place[key]}" for key in ("python", "torch", "numpy"))
    return (
        f"- {name}: {size} data sets, seed {content['seed']}; {commit}; {versions}; "
        f"{place['threads']} thread of {place['cores']} cores of {place['cpu']}; float64"
    )


def results(quadratic: Row, training: Row, variance: Row, command: str) -> str:
    """The text of RESULTS.md."""
    trained = [row for row in training["rows"] if row["order"] in ORDERS]
    one_step = next(row for row in training["rows"] if row["order"] == "one step")
    b = correlated().correction
    lines = [
        "# Results",
        "",
        "The theory of the backstitch paper, sections 2 and 3, in numbers; `local/quadratic.py`,",
        "`local/training.py` and `local/variance.py` have the derivations. Figures are means ±",
        "standard error over data sets.",
        "",
        "![bias against n and against alpha](bias.png)",
        "",
        "## The bias of the minimiser, and of backstitch where it settles",
        "",
        "Share of (8) along its own direction: 1 is the bias that (8) predicts, 0 none.",
        "Backstitch has alpha (1 + alpha) nu = 1/n. Two parameters, four kinds of example;",
        "E[H] = I but in the last two columns, where it is diag(4, 0.49). The last line is the",
        "leading order.",
        "",
        *sizes_table(quadratic["rows"]),
        "",
        "## What it takes from the expected loss",
        "",
        "n^2 times the mean loss on unseen data of the minimiser, less that of the corrected one.",
        f"The bias itself costs {b @ b / 2:.3f}.",
        "",
        *savings_table(quadratic["rows"]),
        "",
        "## The same by training with chainstitch.nnet.optim.Backstitch",
        "",
        f"Share of (8) that is left, n = {N}. drawn: every example drawn afresh, mean over all",
        "steps; shuffled: epochs in random order, mean over their ends. m: backstitch interval.",
        "predicted: to leading order. fixed point: where the mean should be on these very data",
        "sets. They are the same in all lines, so the errors go together.",
        "",
        *training_table(trained),
        "",
        "(17) in one step from theta*, as a share of alpha (1 + alpha) nu: off H g by at most",
        f"{one_step['off_formula']:.0e} for any example, and on the mean",
        f"{plus_minus(one_step['share'], one_step['error'])} of E[H g], along it.",
        "",
        "## Mean and variance of a normal distribution",
        "",
        f"n times the bias where the truth is 1; samples of n = {variance['n']}.",
        "",
        *variance_table(variance["rows"]),
        "",
        "## Where the paper and the measurements part",
        "",
        *conclusions(quadratic, training, variance),
        "",
        f"Written by `{command}` from:",
        "",
        receipt("quadratic losses", quadratic),
        receipt("training", training),
        receipt("variance", variance),
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--exp", type=Path, required=True, help="directory of the three .json")
    parser.add_argument("--out", type=Path, required=True, help="directory for the two files")
    parser.add_argument("--command", default="run.sh", help="to be named in RESULTS.md")
    parser.add_argument("--overwrite", action="store_true", help="replace the two files")
    options = parser.parse_args()
    text, picture = options.out / "RESULTS.md", options.out / "bias.png"
    try:
        check_file(text, "results", options.overwrite)
        check_file(picture, "picture", options.overwrite)
        quadratic, training, variance = (
            load(options.exp / f"{name}.json") for name in ("quadratic", "training", "variance")
        )
        options.out.mkdir(parents=True, exist_ok=True)
        draw(quadratic, training, picture)
        with atomic_file(text) as stream:
            stream.write(results(quadratic, training, variance, options.command))
    except UserError as error:
        print(f"report.py: error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{text}\n{picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
