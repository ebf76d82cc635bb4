"""Imports go one way: bin -> nnet -> utils, inside nnet by the order below, and never in a circle.

An import inside a function counts like any other, and so does one for type checkers only. What a
package's __init__ hands on counts as the package; `from package import module` as the module.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ALLOWED = {"utils": {"utils"}, "nnet": {"nnet", "utils"}, "bin": {"bin", "nnet", "utils"}}
# folders of nnet; each may import what stands in its own bracket and in those after it
ORDER = (
    ("combine", "infer", "export"),
    ("tasks",),
    ("train",),
    ("ivector", "chain", "loss", "nets", "optim"),
    ("layers",),
    ("parallel",),
)

Edges = dict[str, set[str]]


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


@cache
def modules(repository: Path) -> dict[str, Path]:
    """Every module by its name without `chainstitch.`; a package by that of its folder."""
    found = {}
    for top in ALLOWED:
        for path in (repository / top).rglob("*.py"):
            parts = path.relative_to(repository).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def imports(repository: Path) -> Edges:
    """Which modules each module imports."""
    known = modules(repository)
    edges: Edges = {}
    for module, path in known.items():
        edges[module] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                full = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [n if _ours(n) in known else str(node.module) for n in full]
            else:
                continue
            edges[module] |= {_ours(n) for n in names if _ours(n) in known}
    return edges


def _ours(name: str) -> str:
    return name.removeprefix("chainstitch.") if name.startswith("chainstitch.") else ""


def folder(module: str, repository: Path) -> str:
    """nnet.chain of nnet.chain.loss; a module that lies loose in utils or bin is its own folder."""
    parent = modules(repository)[module].relative_to(repository).parent
    return ".".join(parent.parts) if len(parent.parts) > 1 else module


def circles(edges: Edges) -> Iterator[list[str]]:
    """For each node that can be reached from itself, the shortest way round."""
    for start in sorted(edges):
        ways = [[start]]
        seen: set[str] = set()
        while ways:
            way = ways.pop(0)
            if start in edges.get(way[-1], ()):
                yield [*way, start]
                break
            fresh = sorted(edges.get(way[-1], set()) - seen)
            seen.update(fresh)
            ways += [[*way, name] for name in fresh]


@pytest.mark.parametrize("layer", ALLOWED)
def test_imports_go_one_way(repository: Path, layer: str) -> None:
    for path in (repository / layer).rglob("*.py"):
        ours = {n.split(".")[1] for n in imported(path) if n.startswith("chainstitch.")}
        assert ours <= ALLOWED[layer], path


def test_circles_are_found() -> None:
    edges = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    assert list(circles(edges)) == [
        ["a", "b", "c", "a"],
        ["b", "c", "a", "b"],
        ["c", "a", "b", "c"],
    ]
    assert not list(circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}))


def test_no_module_imports_itself_by_way_of_others(repository: Path) -> None:
    assert [" -> ".join(way) for way in circles(imports(repository))] == []


def test_no_folder_imports_itself_by_way_of_others(repository: Path) -> None:
    between: Edges = {}
    for module, others in imports(repository).items():
        for other in others:
            pair = folder(module, repository), folder(other, repository)
            if pair[0] != pair[1]:
                between.setdefault(pair[0], set()).add(pair[1])
    assert [" -> ".join(way) for way in circles(between)] == []


def test_folders_of_nnet_keep_their_order(repository: Path) -> None:
    rank = {f"nnet.{name}": n for n, bracket in enumerate(ORDER) for name in bracket}
    wrong = set()
    for module, others in imports(repository).items():
        for other in others:
            above, below = (rank.get(folder(m, repository)) for m in (module, other))
            if above is not None and below is not None and below < above:
                wrong.add((module, other))
    assert wrong == set()


def test_every_folder_of_nnet_has_its_place_and_nothing_lies_loose(repository: Path) -> None:
    named = {name for bracket in ORDER for name in bracket}
    nnet = repository / "nnet"
    assert {p.parent.name for p in nnet.glob("*/__init__.py")} == named
    assert [p.name for p in nnet.glob("*.py")] == ["__init__.py"]


def test_modules_do_not_import_the_package_that_they_are_in(repository: Path) -> None:
    known = modules(repository)
    wrong = [
        (module, other)
        for module, others in imports(repository).items()
        for other in others
        if known[other].name == "__init__.py" and known[other].parent in known[module].parents
    ]
    assert wrong == []


def test_only_commands_and_tasks_see_the_settings_of_an_experiment(repository: Path) -> None:
    wrong = {
        (module, other)
        for module, others in imports(repository).items()
        for other in others
        if folder(other, repository) == "nnet.tasks" and "config" in other.split(".")[-1]
        if not module.startswith(("bin.", "nnet.tasks."))
    }
    assert wrong == set()


def test_the_image_path_does_without_the_libraries_of_speech(repository: Path) -> None:
    program = (
        "import sys\n"
        "import chainstitch.nnet.chain, chainstitch.nnet.loss, chainstitch.nnet.nets\n"
        "import chainstitch.nnet.train.trainer, chainstitch.nnet.tasks.images\n"
        "print(sorted({'numba', 'kaldifst', 'lhotse', 'triton'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("[]\n", "")


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
