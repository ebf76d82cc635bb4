"""The commands of the three pages run, and the files that they name are there."""

from __future__ import annotations

import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from tests.docs.markdown import blocks, commands
from tests.docs.sound import resample
from tests.toy import LEXICON, Toy, run

PAGES = ("README.md", "egs/README.md", "nnet/README.md")
TOPS = ("bin", "egs", "nnet", "tests", "utils")
ARPA = r"""\data\
ngram 1=4

\1-grams:
-0.5 </s>
-99 <s>
-0.5 low
-0.5 high

\end\
"""
BACKSTITCH = ("with_backstitch_interval_4", "with_backstitch_interval_1")
# what a command needs that is not here: other machines, several GPUs, NIST's programs
ELSEWHERE = ("slurm", "HOST:29400", "--processes", "--nist")


@pytest.fixture(scope="module")
def checkout(repository: Path, toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The top of a checkout, with a corpus of one's own in the forms that the pages read."""
    place = tmp_path_factory.mktemp("checkout")
    for top in ("egs", "tests"):
        (place / top).symlink_to(repository / top)
    for text in (toy.place / "wav").rglob("*.txt"):
        copy = place / "my_folder" / text.relative_to(toy.place / "wav")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(text, copy)
        resample(text.with_suffix(".wav"), copy.with_suffix(".wav"), 16000)
    kaldi = place / "my_kaldi_dir"
    kaldi.mkdir()
    wavs = {f"{wav.parent.name}-{wav.stem}": wav for wav in (place / "my_folder").rglob("*.wav")}
    for name, value in {
        "wav.scp": lambda key: str(wavs[key]),
        "text": lambda key: wavs[key].with_suffix(".txt").read_text(),
        "utt2spk": lambda key: key.partition("-")[0],
    }.items():
        (kaldi / name).write_text("".join(f"{key} {value(key)}\n" for key in sorted(wavs)))
    (place / "my_lexicon.txt").write_text(LEXICON)
    (place / "my_lm.arpa").write_text(ARPA)
    first = wavs[min(wavs)]
    for suffix in (".wav", ".txt"):
        shutil.copy(first.with_suffix(suffix), place / f"hello{suffix}")
    own = place / "commands" / "my_command"
    own.parent.mkdir()
    own.write_text('#!/bin/sh\necho "$@"\n')
    own.chmod(0o755)
    return place


def with_path(checkout: Path) -> dict[str, str]:
    """Variables by which the project's and one's own commands are found."""
    first = f"{Path(sys.executable).parent}{os.pathsep}{checkout / 'commands'}"
    return os.environ | {"PATH": f"{first}{os.pathsep}{os.environ['PATH']}"}


def carry_out(command: list[str], checkout: Path) -> None:
    """Runs a command; of what cannot be run here, its options are read."""
    if command[0] == "chainstitch":
        more = ["--help"] if any(word in " ".join(command) for word in ELSEWHERE) else []
        assert run(*command[1:], *more) == 0, command
        return
    if command[0] == "torchrun":
        told = command[command.index("chainstitch.bin.main") + 1 :]
        assert run(*told, "--help") == 0, command
        from torch.distributed.run import get_args_parser

        get_args_parser().parse_args(command[1:])
        return
    if command[0] == ".":
        assert command[1:] == [".venv/bin/activate"]  # made by utils/setup.sh
        return
    if command[0].startswith("tests/"):
        assert (checkout / command[0]).is_file()
        command = [command[0], "--help"]
    elif command[0].startswith("egs/") and "--help" not in command:
        # all that a recipe does with its options, and no stage
        command = [*command, "--stage", "99", "--stop-stage", "99"]
        if "--dry-run" in command:  # the cost of one system, of eight: test_tedlium.py has them
            command += ["--nets", "tdnn_lstm_1v", "--forms", "baseline"]
    done = subprocess.run(
        command, cwd=checkout, env=with_path(checkout), capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def test_the_commands_run_one_after_the_other(
    repository: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("PATH", with_path(checkout)["PATH"])
    for page in PAGES[:2]:
        for block in blocks(repository / page):
            for command in commands(block):
                carry_out(command, checkout)
    for name in ("exp/tdnn_1a/final.pt", "exp/tdnn_tree/config.toml", "tdnn_1a.pt"):
        assert (checkout / name).is_file()


def test_the_commands_of_nnet_run_that_are_no_addition(
    repository: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the second half are in test_additions.py."""
    monkeypatch.chdir(checkout)
    found = 0
    for block in blocks(repository / "nnet" / "README.md"):
        if block.section != "The parts in a PyTorch loop of your own":
            continue
        for command in commands(block):
            found += 1
            if command[0] == "python":
                monkeypatch.setattr(sys, "argv", command[1:])
                with pytest.raises(SystemExit) as end:
                    runpy.run_path(command[1], run_name="__main__")
                assert not end.value.code
            else:
                carry_out(command, checkout)
    assert found == 5


def test_the_recipes_are_run_by_other_tests(repository: Path) -> None:
    """Here they are only started; tests/recipes runs each script to its end."""
    tests = [*(repository / "tests" / "recipes").glob("*.py")]
    words: set[str] = set()
    for test in tests:
        for node in ast.walk(ast.parse(test.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    told = {
        command[0]
        for page in PAGES
        for block in blocks(repository / page)
        for command in commands(block)
        if command[0].startswith("egs/")
    }
    assert len(told) >= 6
    for script in told:
        _, recipe, name = script.split("/")
        assert recipe in words and (name == "run.sh" or name in words), script


def test_the_example_in_python_runs(repository: Path) -> None:
    [code] = [b.text for b in blocks(repository / "README.md") if b.language == "python"]
    names: dict[str, object] = {}
    exec(compile(code, "README.md", "exec"), names)
    loss, log_z = names["loss"], names["log_z"]
    assert np.isfinite(float(loss.detach())) and log_z.shape == (2,)  # type: ignore[arg-type,attr-defined]


def test_settings_of_a_queue_are_read(repository: Path, tmp_path: Path) -> None:
    from chainstitch.utils.queue import site

    [text] = [b.text for b in blocks(repository / "egs" / "README.md") if b.language == "toml"]
    (tmp_path / "queue.toml").write_text(text)
    found = site.load(tmp_path / "queue.toml")
    assert found.sge.mem == tomllib.loads(text)["sge"]["mem"]


def test_the_first_page_has_the_error_rate_of_the_results(repository: Path) -> None:
    text = " ".join((repository / "README.md").read_text().split())
    [rate] = re.findall(r"mean word error rate was ([\d.]+) %", text)
    results = (repository / "egs" / "yesno" / "RESULTS.md").read_text()
    assert re.findall(r"^\| test \| tdnn_1a \| ([\d.]+) \|", results, re.MULTILINE) == [rate]


def test_the_costs_of_a_training_are_what_info_counts(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    page = repository / "egs" / "README.md"
    [command] = [c for b in blocks(page) for c in commands(b) if "--hours" in c]
    capsys.readouterr()
    assert run(*command[1:], "--json") == 0
    found = json.loads(capsys.readouterr().out)
    row = next(line for line in page.read_text().splitlines() if line.startswith("| AMI"))
    hours = [found[f"hours_{at}"] for at in ("at_10_tflops", *BACKSTITCH)]
    assert [cell.strip() for cell in row.split("|")[3:-1]] == [
        f"{found['parameters'] / 1e6:.1f} M", f"{found['training_pflop']:.0f}",
        f"{100 * found['natural_gradient_adds']:.1f} %", f"{hours[0]:.1f}",
        f"{hours[1]:.1f}; {hours[2]:.1f}", f"{found['gigabytes_of_features']:.0f} GB",
    ]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_names_is_there(repository: Path, page: str) -> None:
    text = (repository / page).read_text(encoding="utf-8")
    here = (repository / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        path = here / file if file else repository / page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings
            }
    made = {block.title for block in blocks(repository / page) if block.title}
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    for name in re.findall(r"`([\w./-]+/[\w./*-]*)`", prose):
        places = [repository, here]
        if name.split("/")[0] in (*TOPS, *(p.name for p in here.iterdir() if p.is_dir())):
            assert name in made or any(list(p.glob(name)) for p in places), name


@pytest.mark.parametrize("page", PAGES)
def test_settings_that_a_page_names_are_there(
    repository: Path, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run("train", "--help-config") == 0
    explained = capsys.readouterr().out
    text = (repository / page).read_text(encoding="utf-8")
    sections = "optim|training|chain|network|graph"
    for section, key in re.findall(rf"`(?:--set )?({sections})\.(\w+)", text):
        part = explained.partition(f"[{section}]")[2].partition("\n[")[0]
        assert re.search(rf"^(# )?{key} =", part, re.MULTILINE) or f"[{section}.{key}]" in explained


def test_the_first_page_is_one_page(repository: Path) -> None:
    assert len((repository / "README.md").read_bytes()) <= 7000
