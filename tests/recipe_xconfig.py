"""The networks of the recipes' training configs."""

from __future__ import annotations

import tomllib
from pathlib import Path

EGS = Path(__file__).resolve().parents[1] / "egs"


def recipe_xconfig(name: str) -> str:
    """The network in egs/NAME.toml."""
    with (EGS / f"{name}.toml").open("rb") as stream:
        return str(tomllib.load(stream)["network"]["xconfig"])
