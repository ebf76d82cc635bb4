"""What nnet/README.md adds to the project works as it stands there, and touches few files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.markdown import Block, apply, blocks, commands
from tests.docs.sound import resample
from tests.toy import Toy, run

TOPS = ("bin", "nnet", "utils")
MOST = {  # files of the package that an addition may touch, its own included
    "A loss on a hidden layer": 2,
    "An optimiser wrapper": 2,
    "A task": 2,
    "A layer of xconfigs": 3,
    "A corpus": 2,
}
CORPUS = "A corpus"
TRAINED = ("smooth", "lookahead", "vectors", "pnorm")

# Runs commands one after the other in one process, as starting one for each takes seconds.
DRIVER = """
import json, subprocess, sys
from chainstitch.bin.main import app
for command in json.load(sys.stdin):
    if command[0] == "chainstitch":
        try:
            app(command[1:])
        except SystemExit as end:
            assert not end.code, command
    else:
        subprocess.run(command, check=True)
"""


@pytest.fixture(scope="module")
def additions(repository: Path) -> dict[str, list[Block]]:
    """The blocks of the page's second half by section."""
    found: dict[str, list[Block]] = {}
    for block in blocks(repository / "nnet" / "README.md"):
        if block.section in MOST:
            found.setdefault(block.section, []).append(block)
    return found


@pytest.fixture
def copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of the project, whose modules are found through links."""
    place = tmp_path / "copy"
    leave = shutil.ignore_patterns("__pycache__", "exp", "data", "corpus", "RESULTS.md")
    for top in (*TOPS, "egs"):
        shutil.copytree(repository / top, place / top, symlinks=True, ignore=leave)
    (place / "packages" / "chainstitch").mkdir(parents=True)
    for top in TOPS:
        (place / "packages" / "chainstitch" / top).symlink_to(place / top)
    command = place / "commands" / "chainstitch"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom chainstitch.bin.main import app\napp()\n")
    command.chmod(0o755)
    return place


@pytest.fixture
def recipe(repository: Path, toy: Toy, tmp_path: Path) -> Path:
    """What the page takes from egs/mini, of the toy's recordings."""
    place, conf = tmp_path / "recipe", repository / "egs" / "digits" / "conf"  # 8 kHz, as they are
    (place / "conf").mkdir(parents=True)
    small = (conf / "tdnn_1a.toml").read_text().replace("minibatch_size = 64", "minibatch_size = 4")
    (place / "conf" / "tdnn_1a.toml").write_text(small)
    for name in ("train", "dev"):
        out = place / "data" / f"{name}_hires"
        assert run("features", conf / "mfcc.toml", "--data", toy.place / name, "--out", out) == 0
    shutil.copytree(toy.lang, place / "data" / "lang")
    (place / "exp").mkdir()
    shutil.copy(toy.den, place / "exp" / "den.npz")
    return place


def variables(copy: Path) -> dict[str, str]:
    """Those by which commands find the copy."""
    path = os.pathsep.join((str(copy / "commands"), str(Path(sys.executable).parent)))
    more = {"PYTHONPATH": str(copy / "packages"), "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    own = {
        "CHAINSTITCH_OWN_VENV": ""
    }  # else the copy's recipes would make an environment of theirs
    return os.environ | more | own


def write(block: Block, root: Path) -> str:
    """Adds a file, or makes a change; the file's name."""
    if block.language == "diff":
        return apply(block.text, root)
    path = root / block.title
    assert not path.exists(), f"{block.title} is there already"
    path.parent.mkdir(exist_ok=True)
    path.write_text(block.text, encoding="utf-8")
    return block.title


def of_package(block: Block) -> bool:
    """Whether a block adds to the project, and not to a directory of one's own."""
    return block.language == "diff" or block.title.split("/")[0] in (*TOPS, "egs")


def make_corpus(toy: Toy, place: Path) -> None:
    """The toy's recordings in the form of LJ Speech."""
    (place / "wavs").mkdir(parents=True)
    lines = []
    for wav in sorted((toy.place / "wav").rglob("*.wav")):
        key = f"{wav.parent.name}-{wav.stem}"
        resample(wav, place / "wavs" / f"{key}.wav", 22050)
        text = wav.with_suffix(".txt").read_text()
        lines.append(f"{key}|{text}|{text.title()}.\n")
    (place / "metadata.csv").write_text("".join(lines))


@pytest.mark.parametrize("section", MOST)
def test_an_addition_touches_few_files(
    additions: dict[str, list[Block]], section: str, copy: Path
) -> None:
    added = [b for b in additions[section] if of_package(b) and not b.title.startswith("egs/")]
    assert len({write(block, copy) for block in added}) <= MOST[section]


def test_all_additions_train(
    additions: dict[str, list[Block]], copy: Path, recipe: Path, toy: Toy
) -> None:
    for block in (block for section in additions.values() for block in section):
        if (block.title or block.language == "diff") and not block.title.startswith("egs/"):
            write(block, copy if of_package(block) else recipe)
    told = [
        command
        for section, found in additions.items()
        for block in found
        for command in commands(block)
        if section != CORPUS
    ]
    done = subprocess.run(
        [sys.executable, "-c", DRIVER], input=json.dumps(told), cwd=recipe, env=variables(copy),
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = {
        name: [json.loads(line) for line in (recipe / "exp" / name / "train.jsonl").open()]
        for name in TRAINED
    }
    assert all(row["smoothness"] > 0 for row in found["smooth"])
    assert all(row["lookahead"] == 0.5 for row in found["lookahead"])
    assert found["vectors"][-1]["valid_objf"] > found["vectors"][0]["valid_objf"] + 0.1
    assert (recipe / "pnorm.pt").is_file()


def test_the_new_corpus_has_a_recipe(
    additions: dict[str, list[Block]], copy: Path, toy: Toy
) -> None:
    make_corpus(toy, copy / "LJSpeech-1.1")
    for block in additions[CORPUS]:
        for command in commands(block):
            done = subprocess.run(
                command, cwd=copy, env=variables(copy), capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout + done.stderr
        if block.title or block.language == "diff":
            write(block, copy)
    cuts = [copy / "egs" / "lj_speech" / "data" / name for name in ("train", "dev", "test")]
    assert all((place / "cuts.jsonl.gz").is_file() for place in cuts)


@pytest.mark.recipe
def test_the_new_corpus_trains(additions: dict[str, list[Block]], copy: Path, toy: Toy) -> None:
    make_corpus(toy, copy / "LJSpeech-1.1")
    for block in additions[CORPUS]:
        if block.title or block.language == "diff":
            (copy / "egs" / "lj_speech").mkdir(exist_ok=True)
            write(block, copy)
        if "mkdir" in block.text:
            subprocess.run(["bash", "-ec", block.text], cwd=copy, check=True)
    script = ["bash", "egs/lj_speech/run.sh", "--corpus", "LJSpeech-1.1"]
    small = ["--passes", "1", "--override", "training.minibatch_size=8", "--device", "cpu"]
    done = subprocess.run(
        [*script, *small, "--nj", "2"], cwd=copy, env=variables(copy), capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "%WER" in done.stdout
