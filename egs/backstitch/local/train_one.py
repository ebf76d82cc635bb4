#!/usr/bin/env python3
"""Trains a job's share of a plan's runs, but those that are done; goes on where one was stopped.

Writes result.json into the run's directory: its row of the plan, objectives (of the last iteration,
and of all for the curves), for images the error of the last model on the held-out ones, seconds,
and by which commit, versions and hardware. A run whose output was not finite, by a learning rate
that is too high say, is done, too, and has no figures.

Example: train_one.py exp/speech/tune.json 1 --jobs 2
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import share
from finished import RESULT

from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.stop_signals import Stopped

Row = dict[str, Any]


def train(row: Row, options: list[str], overwrite: bool) -> bool:
    """Trains; whether it came to its end with finite numbers."""
    try:
        chainstitch(
            row, [*row["command"], *options, "--overwrite" if overwrite else "--resume=auto"]
        )
    except Stopped:
        raise
    except UserError as error:
        if "finite" not in str(error):
            raise
        print(f"train_one.py: not converged: {error}")
        return False
    return True


def chainstitch(row: Row, arguments: list[str]) -> None:
    """The command line program in this process, with the rows that the recipe adds to its tables.

    Raises:
        UserError, SystemExit: what the command ends with, if not well.
    """
    import importlib

    from chainstitch.bin.main import app

    for name in row["rows"]:
        importlib.import_module(name).add_rows()
    sys.argv = ["chainstitch", *arguments]  # for receipt.json
    os.environ["CHAINSTITCH_TRACEBACK"] = "1"  # errors come as they are
    try:
        app(arguments)
    except SystemExit as ended:
        if ended.code:
            raise


def figures(row: Row, converged: bool) -> Row:
    """What result.json says of a run that has been trained."""
    from chainstitch.utils.score.experiment import run_strength
    from chainstitch.utils.score.train_log import read_train_log

    out = Path(row["out"])
    receipt = json.loads((out / "receipt.json").read_text(encoding="utf-8"))
    found: Row = {"run": row, "converged": converged, "receipt": receipt, "seconds": 0.0}
    if not converged:
        return found
    log = read_train_log(out / "train.jsonl")
    last = log[-1]
    found |= {
        "seconds": round(sum(each["seconds"] for each in log), 2),
        "train": last["train_diag_objf"], "valid": last["valid_objf"],
        "strength": run_strength(log), "parameters": last["parameters"], "unit": last["unit"],
        "curve": [[each["passes"], each["train_diag_objf"], each["valid_objf"]] for each in log],
    }  # fmt: skip
    if not row["speech"]:
        found["valid"], found["error"] = held_out(out, Path(row["data"]) / "valid")
    return found | {"gap": found["train"] - found["valid"]}


def held_out(out: Path, images: Path) -> tuple[float, float]:
    """The last model's mean log-probability of all held-out images, and its error in per cent.

    In training the objective is measured on some of them only, for the curves.
    """
    import torch

    from chainstitch.nnet.tasks.image_examples import ImageExamples
    from chainstitch.nnet.tasks.run import reopen
    from chainstitch.nnet.train import diagnostics
    from chainstitch.utils import checkpoint
    from chainstitch.utils.data.images import read_images

    run, examples = reopen(out, "cpu"), ImageExamples(read_images(images))
    run.network.load_state_dict(run.model(f"{checkpoint.iterations(out)[-1]}.pt", "cpu"))
    parts = torch.arange(len(examples)).split(examples.at_once)
    with diagnostics.evaluating(run.network):
        scores = torch.cat([examples.batch(part.tolist()).outputs(run.network) for part in parts])
    each = torch.nn.functional.cross_entropy(scores, examples.labels)
    wrong = (scores.argmax(1) != examples.labels).float().mean()
    return -float(each), 100.0 * float(wrong)


def clear(out: Path, keep_last: bool) -> None:
    """Deletes what nobody wants any more: hundreds of runs are megabytes each."""
    from chainstitch.utils import checkpoint

    numbers = checkpoint.iterations(out)
    for number in numbers[:-1] if keep_last else numbers:
        (out / f"{number}.pt").unlink()
    for name in ("tensorboard", "numerators"):
        shutil.rmtree(out / name, ignore_errors=True)


def one(row: Row, options: argparse.Namespace) -> None:
    """Trains a run and writes what became of it."""
    began = time.time()
    out = Path(row["out"])
    settings = ["--device", options.device, "--num-threads", "1", "--nj", "1"]
    converged = train(row, settings, options.overwrite)
    found = figures(row, converged) | {"wall": round(time.time() - began, 1)}
    with atomic_file(out / RESULT) as stream:
        json.dump(found, stream, indent=1)
    clear(out, row["part"] == "report")


if __name__ == "__main__":
    sys.exit(share.main(__doc__, one))
