#!/usr/bin/env python3
"""Decodes the test set with a job's share of the reported runs of speech; writes their test.json.

The model is that of the last iteration. LM weight and insertion penalty are chosen on a set of the
same part of the data, which the error is not counted on.

Example: test_one.py exp/speech/report.json 1 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import share
from finished import RESULT, TEST, finished
from train_one import chainstitch

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file

Row = dict[str, Any]


def test(row: Row, device: str) -> float:
    """The word error rate in per cent."""
    from chainstitch.utils.score.experiment import read_experiment

    out, data = row["out"], Path(row["data"])
    where = ["--device", device]
    chainstitch(
        row, ["combine", out, "--max-models", "1", "--num-threads", "1", "--overwrite", *where]
    )
    for name, more in (("choose", []), ("test", ["--choice", f"{out}/decode_choose/choice.toml"])):
        chainstitch(row, [
            "decode", out, "--data", str(data / name), "--lang", str(data.parent / "lang"),
            "--out", f"{out}/decode_{name}", "--nj", "1", "--overwrite", *where, *more,
        ])  # fmt: skip
        chainstitch(row, ["score", f"{out}/decode_{name}", *more])
    return float(read_experiment(out).scores["test"].total.wer)


def one(row: Row, options: argparse.Namespace) -> None:
    """Tests a run and writes its error; one that did not converge has none."""
    began = time.time()
    trained = finished(row)
    if trained is None:
        raise UserError(f"there is no {RESULT}; go on with --stage 3")
    if trained["converged"]:
        found = {"run": row, "error": test(row, options.device), "seconds": 0.0}
        with atomic_file(Path(row["out"]) / TEST) as stream:
            json.dump(found | {"wall": round(time.time() - began, 1)}, stream, indent=1)


if __name__ == "__main__":
    sys.exit(share.main(__doc__, one, TEST))
