"""What is optional, k2 and ONNX: imported late, with an error that helps."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from chainstitch.utils.errors import UserError


class UnusableError(UserError, ValueError):
    """An optional back end is not there, does not work, or cannot do what is asked for."""


def load_k2() -> Any:
    """The module k2.

    Raises:
        UnusableError: it is not installed, or does not load; says what its import said.
    """

    def instead() -> str:
        import torch

        return (
            f"install a k2 that was built for this torch, {torch.__version__}, or do without: "
            'chain.backend = "cpu" in training, --decoder kaldi in decoding'
        )

    return _load("k2", instead)


def load_onnx() -> None:
    """Loads what it takes to write a network as ONNX and to run it.

    Raises:
        UnusableError: one of the packages is not installed, or does not load.
    """
    for name in ("onnx", "onnxscript", "onnxruntime"):
        _load(name, lambda: "pip install onnx onnxscript onnxruntime, or take --format torchscript")


def _load(name: str, instead: Callable[[], str]) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            found = f"{name} is not installed"
        else:
            found = f"{name} is installed but cannot be imported ({' '.join(str(error).split())})"
    raise UnusableError(f"{found}; {instead()}")
