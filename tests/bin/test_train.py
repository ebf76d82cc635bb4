"""`chainstitch train` at the terminal: killed and resumed, and what it says to bad input."""

from __future__ import annotations

import json
import logging
import shutil
import signal
import time
from pathlib import Path

import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph
from chainstitch.nnet.tasks.speech_config import SpeechConfig
from chainstitch.nnet.tasks.speech_data import load_chain
from chainstitch.utils import checkpoint, config
from chainstitch.utils.errors import UserError
from tests.toy import Toy, fingerprint, rows, run, same_tensors, spawn
from tests.waiting import wait_for

# Five iterations of about half a second, with everything on that has a state: backstitch (random
# phases, rewound generators), natural gradient and, in the xconfig, dropout and batch-norm.
LONG = (
    *("--set", "optim.backstitch.scale=1.0", "--set", "optim.backstitch.slow_start=2"),
    *("--set", "optim.backstitch.interval=2", "--set", "training.minibatch_size=1"),
    *("--set", "optim.backstitch.slow_start_share=1.0"),
    *("--set", "training.passes=10", "--set", "training.frames_per_iteration=9000"),
)
ITERATIONS = 10


@pytest.fixture(scope="module")
def whole(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The undisturbed run of LONG."""
    out = tmp_path_factory.mktemp("train") / "whole"
    assert run(*toy.arguments(out, *LONG)) == 0
    return out


def assert_same_run(one: Path, other: Path) -> None:
    """Byte for byte: all checkpoints' models, Fisher estimates; and each iteration's row once."""
    assert (
        checkpoint.iterations(one) == checkpoint.iterations(other) == list(range(1, ITERATIONS + 1))
    )
    for number in range(1, ITERATIONS + 1):
        a, b = (checkpoint.load(exp / f"{number}.pt") for exp in (one, other))
        assert same_tensors(a["model"], b["model"]), number
        torch.testing.assert_close(
            a["stepper"]["natural_gradient"], b["stepper"]["natural_gradient"], rtol=0, atol=0
        )
    assert [row["iter"] for row in rows(one)] == list(range(ITERATIONS))
    assert rows(one) == rows(other)


def kill_after(exp: Path, number: int, command: list[str]) -> str:
    """Starts the command and kills it in the iteration after `<number>.pt`; returns its log."""
    process = spawn(command)
    wait_for((exp / f"{number}.pt").exists, 120, process)
    time.sleep(0.1)  # well into the next iteration
    process.send_signal(signal.SIGKILL)
    _, log = process.communicate()
    assert process.returncode == -signal.SIGKILL
    left = checkpoint.iterations(exp)
    assert left == list(range(1, len(left) + 1)) and number <= len(left) < ITERATIONS
    assert f"iter {len(left) + 1}/" not in log  # that one was under way
    return log


def test_killed_in_mid_iteration_and_resumed_it_is_the_undisturbed_run(
    toy: Toy, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    exp = tmp_path / "exp"
    command = toy.arguments(exp, *LONG, "--resume", "auto")
    assert "resumed" not in kill_after(exp, 1, command)
    first = checkpoint.iterations(exp)[-1]
    log = kill_after(exp, first + 1, command)  # and once more
    assert f"resumed from {exp}/{first}.pt" in log
    second = checkpoint.iterations(exp)[-1]
    with caplog.at_level(logging.INFO):
        assert run(*command) == 0
    assert f"resumed from {exp}/{second}.pt" in caplog.text
    assert_same_run(exp, whole)


def test_truncated_newest_checkpoint_is_named_and_the_one_before_used(
    toy: Toy, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "exp"))
    (out / f"{ITERATIONS}.pt").unlink()
    (out / f"{ITERATIONS - 1}.pt").write_bytes((out / f"{ITERATIONS - 1}.pt").read_bytes()[:-5000])
    with caplog.at_level(logging.INFO):
        assert run(*toy.arguments(out, *LONG, "--resume", "auto")) == 0
    assert "9.pt cannot be read" in caplog.text and f"resumed from {out}/8.pt" in caplog.text
    assert_same_run(out, whole)


def test_killed_between_checkpoint_and_rows_each_iteration_has_one_row(
    toy: Toy, whole: Path, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "exp"))
    (out / f"{ITERATIONS}.pt").unlink()
    lines = (out / "train.jsonl").read_text().splitlines(keepends=True)
    (out / "train.jsonl").write_text("".join(lines[:8]))
    (out / ".tmp-1-10.pt").write_bytes(b"what a kill left behind")
    assert run(*toy.arguments(out, *LONG, "--resume", "auto")) == 0
    assert_same_run(out, whole)
    assert not (out / ".tmp-1-10.pt").exists()


def test_checkpoint_that_lacks_a_part_is_named_and_the_one_before_used(
    toy: Toy, whole: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = Path(shutil.copytree(whole, tmp_path / "exp"))
    state = checkpoint.load(out / f"{ITERATIONS}.pt")
    del state["stepper"]
    checkpoint.save(state, out / f"{ITERATIONS}.pt")
    with caplog.at_level(logging.INFO):
        assert run(*toy.arguments(out, *LONG, "--resume", "auto")) == 0
    assert "10.pt is not one of ours: it has no 'stepper'" in caplog.text
    assert_same_run(out, whole)


def test_finished_run_resumes_to_nothing(toy: Toy, whole: Path) -> None:
    before = fingerprint(whole)
    assert run(*toy.arguments(whole, *LONG, "--resume", "auto")) == 0
    assert fingerprint(whole) == before


def test_run_without_a_checkpoint_starts_over(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "exp"
    assert run(*toy.arguments(out, "--resume", "auto")) == 0  # nothing there yet: begins
    first = checkpoint.load(out / "4.pt")["model"]
    for number in checkpoint.iterations(out):
        (out / f"{number}.pt").unlink()
    with caplog.at_level(logging.INFO):
        assert run(*toy.arguments(out, "--resume", "auto")) == 0
    assert "no checkpoint yet" in caplog.text
    assert same_tensors(first, checkpoint.load(out / "4.pt")["model"])


def test_directory_says_what_it_was_made_from(toy: Toy, whole: Path) -> None:
    assert (whole / "den.npz").read_bytes() == toy.den.read_bytes()
    receipt = json.loads((whole / "receipt.json").read_text())
    assert receipt["seed"] == 0 and receipt["versions"]["torch"] in torch.__version__
    assert "scale = 1.0" in (whole / "config.toml").read_text()
    assert f'data = "{toy.train}"' in (whole / "inputs.toml").read_text()
    wanted = "config.toml den.npz features.toml inputs.toml network.xconfig phones.txt receipt.json"
    assert {*wanted.split(), "train.jsonl", "tensorboard"} < {p.name for p in whole.iterdir()}


def test_a_denominator_in_openfst_text_trains_the_same(toy: Toy, tmp_path: Path) -> None:
    DenominatorGraph.load(toy.den).write_fst_text(tmp_path / "den.txt")
    for name, den in (("npz", toy.den), ("text", tmp_path / "den.txt")):
        assert run(*toy.arguments(tmp_path / name, den=den)) == 0
    found, wanted = rows(tmp_path / "text"), rows(tmp_path / "npz")
    for a, b in zip(found, wanted, strict=True):
        assert a["valid_objf"] == pytest.approx(b["valid_objf"], rel=1e-3)
    assert run("combine", str(tmp_path / "text")) == 0
    (tmp_path / "large.txt").write_text("0 0 9 0.5\n0\n")  # pdf 8, of four phones
    with pytest.raises(UserError, match="has 9 pdfs, the 4 phones of .* have 8"):
        load_chain(tmp_path / "large.txt", toy.lang, config.load(toy.conf, SpeechConfig))
