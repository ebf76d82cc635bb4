"""A place where every command has something to read, and what it looks like when one is refused."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from chainstitch.utils.data.feature_index import INDEX
from tests import images
from tests.toy import Toy, align_evenly, run

MARK = ".chainstitch"
PHOTO = b"\x89PNG\r\n\x1a\n a photograph"
TRAIN = "train train.toml --data train_hires --valid dev_hires --lang lang --den den.npz"
WITHOUT_OVERWRITE = ("plot", "compare")


@pytest.fixture(scope="module")
def built(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy with something of every kind that a command reads."""
    place = Path(shutil.copytree(toy.place, tmp_path_factory.mktemp("outputs") / "all"))
    own = Toy(place)
    align_evenly(own, own.train, place / "ali")
    (place / "conf").mkdir()
    (place / "ivector.toml").write_text(
        "num_gauss = 4\ndim = 3\npca_dim = 6\nubm_iterations = 1\niterations = 1\n"
    )
    for name in ("mfcc.toml", "ivector.toml"):
        shutil.copy(place / name, place / "conf")
    for name in ("lm.arpa", "more"):
        (place / "conf" / name).write_text("never read")
    (place / "img").mkdir()
    images.write(place / "img")
    kaldi(place)
    (place / "cifar").mkdir()
    for name in ("data_batch_1.bin", "train.bin"):
        (place / "cifar" / name).touch()
    (place / "mnist").mkdir()
    (place / "mnist" / "train-images-idx3-ubyte.gz").touch()
    shutil.copytree(place / "train", place / "a.parts" / "1of2")
    (place / "link").symlink_to("train")
    for name in ("marked", "empty"):
        (place / name).mkdir()
    (place / "marked" / MARK).write_text("# a comment\nset\n")
    exp = place / "exp"
    short = ["--set", "training.passes=0.1"]
    voices = ["ivectors", "train", place / "ivector.toml", "--data", own.train]
    aligned = ["align", exp, "--data", own.dev, "--max-dropped", 1]
    for command in (
        own.arguments(exp, *short),
        ["combine", exp, "--device", "cpu"],
        ["decode", exp, "--data", own.dev, "--lang", own.lang, "--out", exp / "decode_dev"],
        ["score", exp / "decode_dev"],
        [*aligned, "--out", exp / "ali_dev"],
        images.arguments(place / "img", place / "imgexp", *short),
        ["combine", place / "imgexp", "--device", "cpu"],
        [*voices, "--out", place / "ivec"],
    ):
        assert run(*command) == 0
    (exp / "photo.png").write_bytes(PHOTO)
    return place


def kaldi(place: Path) -> None:
    """Kaldi's form of the recordings of two speakers; and a set of our making in one's folder."""
    (place / "kaldi").mkdir()
    wavs = sorted(place.glob("wav/s[01]/*.wav"))
    ids = {f"{wav.parent.name}-{wav.stem}": wav for wav in wavs}
    assert all(soundfile.info(str(wav)).frames for wav in wavs)
    tables = {
        "wav.scp": {key: f"../wav/{wav.parent.name}/{wav.name}" for key, wav in ids.items()},
        "text": {key: wav.with_suffix(".txt").read_text() for key, wav in ids.items()},
        "utt2spk": {key: wav.parent.name for key, wav in ids.items()},
    }
    for name, table in tables.items():
        lines = [f"{key} {value}\n" for key, value in table.items()]
        (place / "kaldi" / name).write_text("".join(lines))


@pytest.fixture(scope="module")
def copies(built: Path) -> Callable[[], Path]:
    """A copy of all of it; the same one as long as nothing in it was changed."""
    made: list[tuple[Path, dict[Path, object]]] = []

    def copy() -> Path:
        if not made or everything(made[-1][0]) != made[-1][1]:
            path = Path(shutil.copytree(built, f"{built}{len(made)}", symlinks=True))
            made.append((path, everything(path)))
        return made[-1][0]

    return copy


@pytest.fixture
def place(copies: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs."""
    copy = copies()
    monkeypatch.chdir(copy)
    return copy


def refused(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    wanted: str,
    code: int = 2,
    overwrite: bool = True,
) -> None:
    """The command fails in one line that has the wanted text, with --overwrite and without."""
    before = everything(place)
    capsys.readouterr()
    words = shlex.split(command)
    can = overwrite and words[0] not in WITHOUT_OVERWRITE
    for more in ([], ["--overwrite"]) if can else ([],):
        assert run(*words, *more) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert re.match(r"chainstitch [a-z-]+: error: ", line) and wanted in line, line
        assert everything(place) == before


def everything(place: Path) -> dict[Path, object]:
    """What is there and untouched, but no index.bin, which who reads features first may make."""
    found: dict[Path, object] = {}
    for path in place.rglob("*"):
        at = path.lstat()
        if path.name != INDEX:
            written = () if path.is_dir() else (at.st_size, at.st_mtime_ns)
            found[path] = (at.st_ino, at.st_mode, *written)
    return found
