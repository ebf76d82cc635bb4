#!/usr/bin/env python3
"""Table 1 of the backstitch paper with a column of ours, from the work directories of the recipes.

A corpus that nobody has run here has an empty column. Ours is NIST's WER at the point that is best
on the set itself, as in the paper; mean and standard deviation over the seeds that are there. Each
row has its command, the hours of a GPU at 10 Tflop/s that its training was counted to take (an
estimate, as `chainstitch info` says it), and disk.

Example: table1.py --tedlium work_ted --out egs/TABLE1.md
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.cost import Job, cost
from chainstitch.nnet.tasks.speech_config import SpeechConfig
from chainstitch.utils import config as configs
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

HERE = Path(__file__).resolve().parent
CORPORA = ("ami", "swbd", "tedlium")
FORMS = ("baseline", "backstitch")
HEAD = """# The paper's Table 1

Do the systems of the backstitch paper gain here what they gain there? Written by `egs/table1.py`,
which takes ours from the work directories of the recipes: NIST's WER at the point that is best on
the set itself, mean over n seeds. An empty column: nobody has run that row on the corpus yet. GPU
hours are of training, counted and not measured, at 10 Tflop/s sustained; each recipe's
`--dry-run true` has the rest.

"""


def criterion(net: str) -> str:
    return "cross-entropy" if net.startswith("lfr_ce_") else "LF-MMI"


def architecture(net: str) -> str:
    return "TDNN-LSTM" if "tdnn" in net else "BLSTM"


def gpu_hours(corpus: str, of: Mapping[str, Any], row: Mapping[str, Any], form: str) -> float:
    """Of training, by counted operations; a minibatch with backstitch costs twice as much."""
    given = configs.load(HERE / corpus / "conf" / f"{row['net']}.toml", SpeechConfig)
    with torch.device("meta"):
        network = Network(given.network.xconfig, of["pdfs"], given.network.subsampling)
    passes = float(row["passes"][FORMS.index(form)])
    costs = cost(network, Job(of["hours"], passes), 10.0)
    backstitch = f"hours_with_backstitch_interval_{row['interval']}"
    return float(costs["hours_at_10_tflops" if form == "baseline" else backstitch])


def ours(work: Path, of: Mapping[str, Any], net: str, form: str, set_name: str) -> list[float]:
    """One for each seed whose system has been scored.

    Raises:
        UserError: a summary is damaged.
    """
    found = []
    for place in sorted((work / of["exp"]).glob(f"{net}_{form}_s*")):
        summary = place / f"decode_{set_name}{of['kind']}" / "nist" / "summary"
        if not summary.is_file():
            continue
        lines = summary.read_text(encoding="utf-8").splitlines()
        itself = [line for line in lines if "itself, as papers" in line] or lines[:1]
        wer = re.search(r"%WER (\d+(\.\d+)?)", itself[0]) if itself else None
        if wer is None:
            raise UserError(f"{summary} has no %WER; score again with --nist")
        found.append(float(wer[1]))
    return found


def shown(values: list[float]) -> str:
    """Mean, deviation and number."""
    if not values:
        return ""
    sd = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.1f}{sd} (n = {len(values)})"


def table(corpora: Mapping[str, Any], works: Mapping[str, Path | None]) -> list[str]:
    """The lines of the page."""
    lines = []
    for corpus, of in corpora.items():
        first, second = of["sets"]
        lines += [
            f"## {of['title']}", "",
            f"| criterion | network | form | passes | paper, {first} / {second} | ours, {first} | "
            f"ours, {second} | GPU hours | disk, GB | options of the command |",
            f"|{'---|' * 10}",
        ]  # fmt: skip
        for row in of["rows"]:
            for form in FORMS:
                name = form
                if form == "backstitch":
                    name += f" {row['alpha']}/{row['interval']}"
                work = works.get(corpus)
                cells = [ours(work, of, row["net"], form, s) if work else [] for s in of["sets"]]
                lines.append(
                    f"| {criterion(row['net'])} | {architecture(row['net'])} | {name} | "
                    f"{row['passes'][FORMS.index(form)]} | {' / '.join(map(str, row[form]))} | "
                    f"{shown(cells[0])} | {shown(cells[1])} | "
                    f"{gpu_hours(corpus, of, row, form):.0f} | {of['disk']} | "
                    f"`--nets {row['net']} --forms {form} --seeds '0 1 2'` |"
                )
        lines += ["", "By", "", f"```\n{of['recipe']}\n```", ""]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    for corpus in CORPORA:
        parser.add_argument(f"--{corpus}", type=Path, help=f"--work of egs/{corpus}/run.sh")
    parser.add_argument("--out", type=Path, required=True, help="the page to write")
    options = parser.parse_args()
    try:
        corpora = tomllib.loads((HERE / "table1.toml").read_text(encoding="utf-8"))
        works = {corpus: getattr(options, corpus) for corpus in CORPORA}
        for work in filter(None, works.values()):
            if not work.is_dir():
                raise UserError(f"{work} is not a directory; wanted what --work of the recipe was")
        with atomic_file(options.out) as stream:
            stream.write(HEAD + "\n".join(table(corpora, works)))
    except UserError as error:
        print(f"{parser.prog}: error: {error}", file=sys.stderr)
        return error.exit_code
    print(options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
