"""k2, which is optional and often does not load: imported late, with an error that helps."""

from __future__ import annotations

import importlib
from typing import Any

from chainstitch.utils.errors import UserError


class UnusableError(UserError, ValueError):
    """An optional back end is not there, does not work, or cannot do what is asked for."""


def load_k2() -> Any:
    """The module k2.

    Raises:
        UnusableError: it is not installed, or does not load; says what its import said.
    """
    try:
        return importlib.import_module("k2")
    except (ImportError, OSError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "k2":
            found = "k2 is not installed"
        else:
            found = f"k2 is installed but cannot be imported ({' '.join(str(error).split())})"
    import torch

    raise UnusableError(
        f"{found}; install a k2 that was built for this torch, {torch.__version__}, or do without: "
        'chain.backend = "cpu" in training, --decoder kaldi in decoding'
    )
