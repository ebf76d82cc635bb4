#!/usr/bin/env python3
"""Writes RESULTS.md and its pictures from all results/NAME.json, and prints one experiment.

RESULTS.md has of each experiment question, verdict, table, picture and command. The rest is in
results/NAME.md beside the .json: intervals of the differences, the picture of rates, and receipts.

Example: report.py exp/results --out exp --show speech
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiment import AGAIN, key
from figure import draw, draw_tuning
from paired import Summary
from results import MEASURES, Cell, Results, read
from verdict import RULE, interval, sentence

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.outputs import check_file
from chainstitch.utils.score.report import table_text

ORDER = ("speech", "digits", "mnist_mlp", "mnist_convnet", "cifar_convnet", "ablations", "rivals")
HEAD = f"""# Results

Where does backstitch help, and where not? Written by `local/report.py` from `results/*.json`.

The learning rate of each form, and what else it has to choose, was chosen for each number of passes
on tuning runs, with other training data, other held-out data and other seeds than those reported;
`*` marks a rate at the edge of those tried. Figures are means over n seeds with standard deviation,
of the model after the last pass. Gap: training less held-out objective. Strength: of backstitch
over the run, 1 were its alpha full from the first iteration. Seconds: of training, one thread, on a
machine that may have done other work.
{RULE}
Nothing is corrected for the number of comparisons.
"""


def place(name: str) -> tuple[int, str]:
    """Where an experiment stands on the page: those that are not in ORDER come last."""
    plain = name.removesuffix(AGAIN).removesuffix("_quick")
    return [*ORDER, plain].index(plain), name


def value(found: Summary | None, digits: int) -> str:
    """Mean and deviation."""
    if found is None:
        return ""
    sd = f" ± {found.sd:.{digits}f}" if found.sd is not None else ""
    return f"{found.mean:.{digits}f}{sd}"


def figures(results: Results) -> list[list[str]]:
    """The first table."""
    reference, error = results.reference, results.content["error"]
    lines = [[
        "passes", "form", "rate", "train", "held-out", "gap", error, f"held-out less {reference}'s",
        f"{error} less {reference}'s", "strength", "seconds", "n",
    ]]  # fmt: skip
    for (form, passes), cell in results.cells.items():
        chosen = results.content["chosen"][key(form, passes)]
        digits = 4 if results.content["unit"] == "frame" else 3
        lost = f", {cell.lost} not converged" if cell.lost else ""
        other = None if form == reference else results.cells[reference, passes]
        lines.append([
            str(passes), form, f"{chosen['rate']:g}{'*' if chosen['edge'] else ''}",
            *(value(cell.summary(name), digits) for name in ("train", "valid", "gap")),
            value(cell.summary("error"), 2),
            *(_told(cell, other, name, whole=False) for name in ("valid", "error")),
            value(cell.summary("strength"), 2).split(" ±")[0],
            value(cell.summary("seconds"), 1).split(" ±")[0], f"{len(cell.runs)}{lost}",
        ])  # fmt: skip
    return lines


def overview(all_: Sequence[Results]) -> list[list[str]]:
    """Of each experiment the form and passes that tuning preferred, against the reference."""
    lines = [["experiment", "form, passes", "against", "held-out objective", "gap", "error", "n"]]
    for results in all_:
        ours = results.favourite()
        if ours is not None and results.content["verdict"] == "best":
            plain = results.cells[results.reference, ours.passes]
            lines.append([
                f"[{results.name}](#{results.name})", f"{ours.form}, {ours.passes}",
                results.reference, *_row(ours, plain), str(len(ours.runs)),
            ])  # fmt: skip
    return lines


def differences(results: Results) -> list[list[str]]:
    """The second: each form against the reference with as many passes, and against the best."""
    names = ["held-out", "gap", results.content["error"]]
    lines = [["passes", "form", "against", *names]]
    for (form, passes), cell in results.cells.items():
        if form == results.reference:
            continue
        plain = results.cells[results.reference, passes]
        lines.append([str(passes), form, results.reference, *_row(cell, plain)])
    for cell in results.candidates() if results.content["verdict"] == "best" else ():
        best = [results.best_other(measure) if measure != "gap" else None for measure in MEASURES]
        cells = [_told(cell, other, m, True) for other, m in zip(best, MEASURES, strict=True)]
        lines.append([str(cell.passes), cell.form, "the best other", *cells])
    return lines


def _row(cell: Cell, other: Cell) -> list[str]:
    return [_told(cell, other, measure) for measure in MEASURES]


def _told(
    cell: Cell, other: Cell | None, measure: str, named: bool = False, whole: bool = True
) -> str:
    """A difference, its verdict where it has one, and with `whole` its interval."""
    found = None if other is None else cell.against(other, measure)
    if found is None:
        return ""
    whose = f"{other.form}, {other.passes}: " if named and other is not None else ""
    verdict = found.verdict(MEASURES[measure])
    mark = "" if verdict == "not told apart" else f" {verdict}"
    mean, low, high = interval(found)
    return f"{whose}{mean}{f' ({low} to {high})' if whole else ''}{mark}"


def markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    """A table of a page."""
    head, *rest = lines
    return [
        f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(r)} |" for r in rest)
    ]  # fmt: skip


def section(results: Results, again: Results | None = None) -> str:
    """Of RESULTS.md: question, answer, table, picture and command; the answer with other seeds."""
    content, name = results.content, results.name
    others = [f"**Again**, {_seeds(again)}: {sentence(again)}", ""] if again else []
    also = f", and again by `{again.content['command']}`" if again else ""
    return "\n".join([
        f"## {name}", "", content["question"], "", f"**Verdict.** {sentence(results)}", "", *others,
        *markdown(figures(results)), "", f"![{name}]({name}.png)", "",
        f"By `{content['command']}`{also}. Intervals of the differences, what was tuned and how, "
        f"and receipts: [results/{name}.md](results/{name}.md).", "",
    ])  # fmt: skip


def details(results: Results, again: Results | None = None) -> str:
    """results/NAME.md."""
    content, name = results.content, results.name
    settings = [
        f"{one} {' '.join(found['settings'])}"
        for one, found in content["chosen"].items()
        if found["settings"] and len(content["forms"][one.rpartition(" at ")[0]]["tried"]) > 1
    ]
    more = [f"Chosen besides the rate: {'; '.join(settings)}.", ""] if settings else []
    missing = [f"{content['missing']} reported runs are missing.", ""] if content["missing"] else []
    return "\n".join([
        f"# {name}", "", "Paired differences, the same seeds, with 95 % interval:", "",
        *markdown(differences(results)), "",
        f"![{name}, learning rates](../{name}_tuning.png)", "", *more, *missing,
        f"Rates tried: {', '.join(f'{rate:g}' for rate in content['rates'])}, by "
        f"{content['choose_by']}, seeds {_list(content['tune_seeds'])}; reported: "
        f"{_seeds(results)}. Each run with its command: [{name}.json]({name}.json).", "",
        *_receipts(results), "",
        *([f"With {_seeds(again)}:", "", *_receipts(again), ""] if again else []),
    ])  # fmt: skip


def _receipts(results: Results) -> list[str]:
    content = results.content
    number = len(content["runs"]) + len(content["tuning"])
    return [f"`{content['command']}`, {number} runs:", "", *(f"- {r}" for r in content["receipts"])]


def _seeds(results: Results) -> str:
    return f"seeds {_list(results.content['seeds'])}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("results", type=Path, help="directory of the .json files")
    parser.add_argument("--out", type=Path, required=True, help="where RESULTS.md goes")
    parser.add_argument("--show", default="", help="the experiment to print")
    options = parser.parse_args()
    try:
        found = {path.stem: read(path) for path in sorted(options.results.glob("*.json"))}
        page = options.out / "RESULTS.md"
        check_file(page, "results", True)
        others = {f"{name}{AGAIN}" for name in found}  # in the section of the experiment's own
        names = sorted(found.keys() - others, key=place)
        for name in names:
            draw(found[name], options.out / f"{name}.png")
            draw_tuning(found[name], options.out / f"{name}_tuning.png")
            with atomic_file(options.results / f"{name}.md") as stream:
                stream.write(details(found[name], found.get(f"{name}{AGAIN}")))
        sections = [section(found[name], found.get(f"{name}{AGAIN}")) for name in names]
        with atomic_file(page) as stream:
            table = markdown(overview([found[name] for name in names]))
            stream.write("\n".join([HEAD, *table, "", *sections]))
        if options.show in found:
            shown = found[options.show]
            print(table_text(figures(shown)), "", table_text(differences(shown)), "", sep="\n")
            print(f"Verdict: {sentence(shown)}")
        print(f"{page}, {', '.join(str(options.out / f'{name}.png') for name in names)}")
    except UserError as error:
        print(f"report.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
