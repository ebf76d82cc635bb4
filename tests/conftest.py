"""What all tests share: this checkout is tested, on one thread, with the corpora if they exist."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.faults.world import World
    from tests.toy import Toy

ROOT = Path(__file__).resolve().parents[1]
RECIPES = "tests/recipes/"
FAULTS = ("tests/faults/", "tests/fuzz/")  # marked `fault`
LONGEST = (  # files, and the recipes as one
    RECIPES,
    "tests/faults/test_commands.py",
    "tests/fuzz/test_readers.py",
    "tests/faults/test_queue.py",
    "tests/nnet/train/test_averaged_jobs.py",
    "tests/bin/test_torchrun.py",
    "tests/nnet/train/test_survival.py",
    "tests/nnet/parallel/test_ranks.py",
    "tests/nnet/parallel/test_image_ranks.py",
    "tests/bin/test_export.py",
    "tests/bin/test_train.py",
    "tests/bin/test_run_contract.py",
    "tests/utils/queue/test_cluster.py",
)

# Before torch is imported by anything; children of the tests inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
if shutil.which("nvidia-smi") is None:  # no GPU: Triton kernels run on the CPU
    os.environ.setdefault("TRITON_INTERPRET", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough", action="store_true",
        help="killed, forked and parallel trainings at length and in all their variants",
    )  # fmt: skip


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


@pytest.hookimpl(tryfirst=True)  # before the markers are looked at
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Recipes last: they take minutes, and a failed unit test says more.

    Where tests run side by side the longest files come first, so that none is left alone at the
    end.
    """
    for item in items:
        if item.nodeid.startswith(FAULTS):
            item.add_marker("fault")
    if not config.getoption("thorough"):
        longer = [item for item in items if item.get_closest_marker("thorough")]
        items[:] = [item for item in items if item not in longer]
        config.hook.pytest_deselected(items=longer)
    if hasattr(config, "workerinput"):
        places = {scope: place for place, scope in enumerate(LONGEST)}
        items.sort(key=lambda item: places.get(_scope(item.nodeid), len(places)))
    else:
        items.sort(key=lambda item: item.get_closest_marker("recipe") is not None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side: the tests of a file in one process, and so those of all recipes.

    Recipes use threads of their own, and some are timed; two at a time would be too many.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return _scope(nodeid)

    config.option.loadscopereorder = False
    return ByFile(config, log)


def _scope(nodeid: str) -> str:
    file = nodeid.split("::")[0]
    return RECIPES if file.startswith(RECIPES) else file


@pytest.fixture(scope="session")
def thorough(request: pytest.FixtureRequest) -> bool:
    """Whether this run has time for everything."""
    return bool(request.config.getoption("thorough"))


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


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One of everything that a command reads, for tests to have broken copies of."""
    from tests.faults.world import make

    return make(tmp_path_factory.mktemp("world"))


@pytest.fixture
def own(toy: Toy, tmp_path: Path) -> Toy:
    """A copy of `toy` to damage."""
    import shutil

    return type(toy)(Path(shutil.copytree(toy.place, tmp_path / "own")))
