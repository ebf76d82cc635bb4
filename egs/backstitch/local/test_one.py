#!/usr/bin/env python3
"""Decodes the test set with one reported run of speech, unless that is done; writes test.json.

The model is that of the last iteration. LM weight and insertion penalty are chosen on a set of the
same part of the data, which the error is not counted on.

Example: test_one.py exp/speech/report.json 3
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from finished import RESULT, TEST, finished, read_plan
from train_one import chainstitch, options_of_job

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file


def test(row: dict[str, Any], device: str) -> float:
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


def main() -> int:
    options = options_of_job(__doc__)
    began = time.time()
    try:
        row = read_plan(options.plan)[options.job - 1]
        trained = finished(row)
        if trained is None:
            raise UserError(f"{row['out']} has no {RESULT}; go on with --stage 3")
        if not trained["converged"] or (finished(row, TEST) is not None and not options.overwrite):
            print(f"{row['out']} is done")
            return 0
        found = {"run": row, "error": test(row, options.device)}
        with atomic_file(Path(row["out"]) / TEST) as stream:
            json.dump(
                found | {"seconds": 0.0, "wall": round(time.time() - began, 1)}, stream, indent=1
            )
    except UserError as error:
        print(f"test_one.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
