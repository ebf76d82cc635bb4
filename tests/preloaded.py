"""What the server of tests/commands.py imports before it forks: all, so that no fork has to.

None of it starts a thread.
"""

import gc
import importlib
from pathlib import Path

import matplotlib.pyplot  # noqa: F401
import torch.utils.tensorboard  # noqa: F401
import typer._adapters  # noqa: F401

import chainstitch.bin.main  # noqa: F401

OPTIONAL = {"gpu", "gpu_numerator", "via_k2", "k2_check"}  # want what may not be here

for part in ("utils", "nnet"):
    top = Path(__file__).resolve().parents[1] / part
    for path in sorted(top.rglob("*.py")):
        if path.stem not in OPTIONAL | {"__init__"}:
            name = ".".join(path.relative_to(top.parent).with_suffix("").parts)
            importlib.import_module(f"chainstitch.{name}")

gc.collect()
gc.freeze()  # a collection in a fork would copy every page
