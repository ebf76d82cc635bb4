"""What the directories of all training runs have in common: begun or resumed, settings, receipt.

`config.toml` and `inputs.toml` say what a run was made from; it can only be resumed with the same.
`receipt.json` says by which command, commit, versions and hardware.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from chainstitch.utils import config as configs
from chainstitch.utils import log
from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.outputs import Given, check_directory

CONFIG, INPUTS = "config.toml", "inputs.toml"


def pick_device(name: str) -> str:
    """ "auto" -> "cuda" if there is one, else "cpu"; others are checked.

    Raises:
        UsageError: an unknown device, or CUDA without a GPU.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not name.startswith("cuda"):
        raise UsageError(f"--device wants auto, cpu, cuda or cuda:N, found {name!r}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"--device {name}: torch {torch.__version__} sees no GPU; use --device cpu"
        )
    return name


def wants_half(precision: str, device: str) -> bool:
    """Whether a network is to run in bf16: "bf16", or "auto" on a GPU."""
    return precision == "bf16" or (precision == "auto" and device.startswith("cuda"))


def check_new_or_same(
    out: Path,
    config: Any,
    inputs: Any,
    resume: bool,
    overwrite: bool,
    more_inputs: Iterable[Given] = (),
) -> bool:
    """Whether the run in `out` is to be resumed; checks that `out` may be written otherwise.

    Args:
        more_inputs: what else is read and must not be replaced, the config say.

    Raises:
        UsageError: `out` exists and neither resume nor overwrite is asked for; it was begun with
            other settings, or it is not a run and overwrite is asked for; or it has to do with an
            input (outputs.py).
    """
    if resume and (out / CONFIG).is_file() and not overwrite:
        _check_same(out, config, inputs)
        return True
    fields = (field.name for field in dataclasses.fields(inputs) if field.name != "seed")
    read = [getattr(inputs, name) or None for name in fields]
    check_directory(out, "experiment", overwrite, [*more_inputs, *read])
    return False


def _check_same(out: Path, config: Any, inputs: Any) -> None:
    was: list[str] = []
    now: list[str] = []
    for name, given in ((CONFIG, config), (INPUTS, inputs)):
        was += configs.dumps(configs.load(out / name, type(given))).splitlines()
        now += configs.dumps(given).splitlines()
    if was != now:
        changed = next((a, b) for a, b in zip(was + [""], now + [""], strict=False) if a != b)
        raise UsageError(
            f"{out} was begun with {changed[0]!r}, now {changed[1]!r} is asked for; give it a new "
            "--out, or --overwrite to start afresh"
        )


def write_settings(directory: Path, config: Any, inputs: Any, **more: Any) -> None:
    """Writes receipt.json (`more` into it), inputs.toml and, last, config.toml."""
    environment = log.environment()
    receipt = {
        "command": shlex.join(["chainstitch", *sys.argv[1:]]),
        "commit": environment.get("commit"),
        "versions": {k: v for k, v in environment.items() if k not in ("commit", "cpu", "gpu")},
        "hardware": f"{environment['cores']} cores of {environment['cpu']}, "
        f"GPU {environment['gpu']}",
        "seed": inputs.seed,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        **more,
    }
    with atomic_file(directory / "receipt.json") as stream:
        json.dump(receipt, stream, indent=1)
    configs.save(inputs, directory / INPUTS)
    configs.save(config, directory / CONFIG)  # last: its presence means the directory is complete
