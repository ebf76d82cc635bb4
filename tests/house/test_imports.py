"""Imports go bin -> nnet -> utils, by their full names, and never up."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ALLOWED = {"utils": {"utils"}, "nnet": {"nnet", "utils"}, "bin": {"bin", "nnet", "utils"}}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("layer", ALLOWED)
def test_imports_go_one_way(repository: Path, layer: str) -> None:
    for path in (repository / layer).rglob("*.py"):
        ours = {n.split(".")[1] for n in imported(path) if n.startswith("chainstitch.")}
        assert ours <= ALLOWED[layer], path


def test_no_file_imports_click(repository: Path) -> None:
    for path in (p for top in ALLOWED for p in (repository / top).rglob("*.py")):
        assert not any(name.split(".")[0] == "click" for name in imported(path)), path


@pytest.mark.parametrize("statement", ["import utils.errors", "from nnet import optim"])
def test_bare_imports_are_banned(repository: Path, statement: str) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ruff",
            "check",
            "--select",
            "TID251",
            "--stdin-filename",
            "x.py",
            "-",
        ],
        cwd=repository,
        input=statement + "\n",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "TID251" in done.stdout


def test_no_module_below_bin_prints(repository: Path) -> None:
    for path in (p for top in ("nnet", "utils") for p in (repository / top).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            assert not (isinstance(called, ast.Name) and called.id == "print"), path
