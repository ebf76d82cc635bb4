"""The networks of Kaldi's recipes, of which some stand in a whole training config."""

from __future__ import annotations

import tomllib
from pathlib import Path

EGS = Path(__file__).resolve().parents[1] / "egs"


def recipe_xconfig(name: str) -> str:
    """The text of egs/NAME.xconfig, or of the network in egs/NAME.toml."""
    path = EGS / f"{name}.xconfig"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    with path.with_suffix(".toml").open("rb") as stream:
        return str(tomllib.load(stream)["network"]["xconfig"])
