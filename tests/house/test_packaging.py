"""The installed packages, the pins and the set-up script agree with what is on disk."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def normal(requirement: str) -> str:
    """The name of a requirement as package indices compare it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def test_packages_are_those_on_disk(repository: Path, project: dict[str, Any]) -> None:
    on_disk = sorted(
        "chainstitch." + ".".join(path.parent.relative_to(repository).parts)
        for top in ("bin", "nnet", "utils")
        for path in (repository / top).rglob("__init__.py")
    )
    assert sorted(project["tool"]["setuptools"]["packages"]) == on_disk


def test_every_source_file_is_in_a_package_and_two_levels_down_at_most(repository: Path) -> None:
    for top in ("bin", "nnet", "utils"):
        for path in (repository / top).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), path
            assert len(path.relative_to(repository).parts) <= 3, path


def test_every_dependency_is_pinned(repository: Path, project: dict[str, Any]) -> None:
    lines = (repository / "utils/constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", version) for version in pins.values())
    wanted = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    assert {normal(item) for item in wanted} <= {normal(name) for name in pins}


def test_setup_script_knows_the_extras(repository: Path, project: dict[str, Any]) -> None:
    script = (repository / "utils/setup.sh").read_text()
    listed = set(" ".join(re.findall(r"_extra_packages=\(([^)]*)\)", script)).split())
    extras = project["project"]["optional-dependencies"]
    assert set(extras) == {"export", "mini", "test"}
    assert {normal(i) for i in listed} == {normal(i) for e in extras.values() for i in e}


def test_no_ignore_rule_hides_a_source_directory(repository: Path) -> None:
    rules = (repository / ".gitignore").read_text().split()
    assert not {"data", "data/", "exp/", "bin/", "/utils/data", "build"} & set(rules)
