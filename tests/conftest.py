"""What all tests share: this checkout is tested, on one thread, with the corpora if they exist."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.toy import Toy

ROOT = Path(__file__).resolve().parents[1]

# Before torch is imported by anything; children of the tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if shutil.which("nvidia-smi") is None:  # no GPU: Triton kernels run on the CPU
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuses to run against a chainstitch that is installed from elsewhere."""
    try:
        import chainstitch.utils as installed
    except ImportError:
        pytest.exit("chainstitch is not installed; start the tests by tests/run.sh", returncode=4)
    found = Path(installed.__file__ or "").resolve().parents[1]
    if found != ROOT:
        pytest.exit(
            f"these are the tests of {ROOT}, but the chainstitch that would be tested is {found};"
            " leave its environment, or set CHAINSTITCH_OWN_VENV=1",
            returncode=4,
        )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Recipes last: they take minutes, and a failed unit test says more."""
    items.sort(key=lambda item: item.get_closest_marker("recipe") is not None)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The top directory of this checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The directory of the corpora; the test skips without it, or fails where it is required."""
    place = Path(os.environ.get("CHAINSTITCH_DATA", ROOT.parent / "shared" / "data"))
    if not place.is_dir():
        reason = f"no corpora in {place}; CHAINSTITCH_DATA can name another directory"
        if os.environ.get("CHAINSTITCH_REQUIRE_DATA", "") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return place


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """A corpus of tones with features, lang and denominator; tests must not write into it."""
    from tests.toy import build

    return build(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def own(toy: Toy, tmp_path: Path) -> Toy:
    """A copy of `toy` to damage."""
    import shutil

    return type(toy)(Path(shutil.copytree(toy.place, tmp_path / "own")))
