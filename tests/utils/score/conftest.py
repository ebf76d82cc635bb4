"""Experiments as `train` and `score` leave them, for the tests of compare and RESULTS.md."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chainstitch.utils.score.sweep import score_directory

REF = {"u1": "one two three four", "u2": "five", "u3": "six seven eight nine oh"}  # 10 words

MakeExperiment = Callable[..., Path]


@pytest.fixture
def make_experiment(tmp_path: Path) -> MakeExperiment:
    """make(name, {set: errors}, ref, **train.jsonl's last row): a directory exp/<name>, scored."""

    def make(
        name: str,
        errors: dict[str, int],
        ref: dict[str, str] = REF,
        receipt: dict[str, Any] | None = None,
        **last: Any,
    ) -> Path:
        path = tmp_path / "exp" / name
        for key, count in errors.items():
            directory = path / f"decode_{key}"
            directory.mkdir(parents=True)
            hyps = []
            for utt, text in ref.items():  # the first `count` words of the set are substituted
                words = text.split()
                wrong, count = min(count, len(words)), max(0, count - len(words))
                hyps.append(" ".join([utt, *["bad"] * wrong, *words[wrong:]]))
            lines = [f"{utt} {text}" for utt, text in ref.items()]
            (directory / "ref").write_text("\n".join(lines) + "\n")
            (directory / "hyp_10_0.0").write_text("\n".join(hyps) + "\n")
            (directory / "utt2spk").write_text("".join(f"{utt} ann\n" for utt in ref))
            score_directory(directory)
        if last:
            rows = [{"iter": 0, "valid_objf": -9.0}, {"iter": 1, **last}]
            (path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if receipt is not None:
            (path / "receipt.json").write_text(json.dumps(receipt))
        return path

    return make


@pytest.fixture(scope="session")
def gold(data_dir: Path) -> Path:
    """Inputs of the scoring of AMI, Switchboard and TED-LIUM, and what the original code made."""
    place = data_dir.parent / "gold" / "corpora"
    if not place.is_dir():
        pytest.skip(f"no gold files in {place}")
    return place
