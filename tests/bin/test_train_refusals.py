"""What `chainstitch train` refuses: one line, exit 1 or 2, nothing touched; and what it takes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from tests.toy import LEXICON, Toy, fingerprint, make_ivectors, retext, rows, run, spawn

# Five iterations of about half a second, with everything on that has a state: backstitch (random
# phases, rewound generators), natural gradient and, in the xconfig, dropout and batch-norm.
LONG = (
    *("--set", "optim.backstitch.scale=1.0", "--set", "optim.backstitch.slow_start=2"),
    *("--set", "optim.backstitch.interval=2", "--set", "training.minibatch_size=1"),
    *("--set", "training.passes=20", "--set", "training.frames_per_iteration=9000"),
)
ITERATIONS = 5


Damage = Callable[[Toy], list[str]]


def out(own: Toy) -> Path:
    """Where the bad commands would write."""
    return own.place / "exp"


def nan_features(own: Toy) -> list[str]:
    with h5py.File(own.train / "feats" / "feats.h5", "r+") as store:
        name = sorted(store)[-1]
        store[name][3, 5] = np.nan
    return own.arguments(out(own))


def infinite_valid_features(own: Toy) -> list[str]:
    with h5py.File(own.dev / "feats" / "feats.h5", "r+") as store:
        store[sorted(store)[0]][0, 0] = np.inf
    return own.arguments(out(own))


def truncated_features(own: Toy) -> list[str]:
    path = own.train / "feats" / "feats.h5"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return own.arguments(out(own))


def misspelt_key(own: Toy) -> list[str]:
    own.conf.write_text(own.conf.read_text().replace("initial_lr", "inital_lr"))
    return own.arguments(out(own))


def misspelt_section(own: Toy) -> list[str]:
    return own.arguments(out(own), "--set", "optim.backstich.scale=1.0")


def ivectors(own: Toy) -> list[str]:
    text = own.conf.read_text().replace(
        "\noutput-layer",
        "\nno-op-component name=both input=Append(tdnn2, ReplaceIndex(ivector,t,0))\noutput-layer",
    )
    own.conf.write_text(
        text.replace("input name=input", "input name=ivector dim=3\ninput name=input")
    )
    return own.arguments(out(own))


def other_ivectors(own: Toy) -> list[str]:
    for directory in (own.train, own.dev):
        make_ivectors(directory, 2, "one")
    return ivectors(own)


def strange_ivectors(own: Toy) -> list[str]:
    make_ivectors(own.train, 3, "one")
    make_ivectors(own.dev, 3, "another")
    return ivectors(own)


def misspelt_xconfig(own: Toy) -> list[str]:
    own.conf.write_text(own.conf.read_text().replace("relu-renorm-layer", "relu-norm-layer"))
    return own.arguments(out(own))


def existing_output(own: Toy) -> list[str]:
    out(own).mkdir()
    (out(own) / "mine").write_text("precious")
    return own.arguments(out(own))


def output_of_something_else(own: Toy) -> list[str]:
    return [*existing_output(own), "--overwrite"]


def missing_graph(own: Toy) -> list[str]:
    own.den.unlink()
    return own.arguments(out(own))


def damaged_graph(own: Toy) -> list[str]:
    own.den.write_bytes(own.den.read_bytes()[:500])
    return own.arguments(out(own))


def graph_of_more_phones(own: Toy) -> list[str]:
    return other_graph(own, LEXICON + "extra X\n")


def graph_of_other_phones(own: Toy) -> list[str]:
    return other_graph(own, LEXICON.translate(str.maketrans("LHS", "HSL")))


def other_graph(own: Toy, lexicon: str) -> list[str]:
    (own.place / "other").write_text(lexicon)
    lang, den = own.place / "other_lang", own.place / "other.npz"
    assert run("lang", own.place / "other", "--grammar", "uniform", "--out", lang) == 0
    inputs = ["--data", own.place / "train", "--lang", lang, "--out", den]
    assert run("den-graph", own.conf, *inputs) == 0
    return own.arguments(out(own), den=den)


def unknown_word(own: Toy) -> list[str]:
    retext(own.train, {2: "low lou"})
    return own.arguments(out(own))


def short_utterances(own: Toy) -> list[str]:
    retext(own.train, dict.fromkeys(range(3), "rise fall " * 60))
    return own.arguments(out(own))


def other_features(own: Toy) -> list[str]:
    valid = own.place / "dev_other"
    inputs = ["--data", own.place / "dev", "--out", valid, "--set", "num_mel_bins=21"]
    assert run("features", own.place / "mfcc.toml", *inputs) == 0
    return own.arguments(out(own), valid=valid)


def other_input_dim(own: Toy) -> list[str]:
    own.conf.write_text(own.conf.read_text().replace("dim=13", "dim=40"))
    return own.arguments(out(own))


def set_without_features(own: Toy) -> list[str]:
    return own.arguments(out(own), data=own.place / "train")


def momentum_with_backstitch(own: Toy) -> list[str]:
    options = ("--set", "optim.momentum=0.5", "--set", "optim.backstitch.scale=0.3")
    return own.arguments(out(own), *options)


def k2_with_a_leak(own: Toy) -> list[str]:
    return own.arguments(out(own), "--set", "chain.backend=k2")


def unknown_backend(own: Toy) -> list[str]:
    return own.arguments(out(own), "--set", "chain.backend=tpu")


def no_gpu(own: Toy) -> list[str]:
    return own.arguments(out(own), "--device", "cuda")


def unknown_resume(own: Toy) -> list[str]:
    return own.arguments(out(own), "--resume", "yes")


BAD: list[tuple[Damage, int, list[str]]] = [
    (nan_features, 1, ["feats.h5: 1 numbers of cut s", "not finite", "chainstitch features"]),
    (infinite_valid_features, 1, ["dev_hires/feats/feats.h5: 1 numbers of cut s", "not finite"]),
    (truncated_features, 1, ["feats.h5: cannot read cut s", "chainstitch features"]),
    (misspelt_key, 2, ["train.toml", "'optim.inital_lr'; did you mean 'optim.initial_lr'?"]),
    (misspelt_section, 2, ["'optim.backstich'; did you mean 'optim.backstitch'?"]),
    (misspelt_xconfig, 2, ["xconfig line 3", "did you mean 'relu-renorm-layer'?"]),
    (ivectors, 2, ["ivectors.h5 does not exist", "chainstitch ivectors extract"]),
    (other_ivectors, 2, ["input name=ivector has dim=3, but", "i-vectors of 2; write dim=2"]),
    (strange_ivectors, 1, ["different extractors"]),
    (existing_output, 2, ["exp exists already", "--overwrite"]),
    (
        output_of_something_else,
        2,
        ["exp exists already", "was not made by chainstitch train", "delete it"],
    ),
    (missing_graph, 1, ["den.npz does not exist", "chainstitch den-graph"]),
    (damaged_graph, 1, ["den.npz is not a readable den.npz", "make it again"]),
    (
        graph_of_more_phones,
        1,
        ["other.npz was made with 5 phones", "has 4", "again with `chainstitch den-graph`"],
    ),
    (graph_of_other_phones, 1, ["utterances cannot be used", "phone LM cannot say", "den-graph"]),
    (unknown_word, 1, ["train_hires: utterance s", "'lou'", "not in the lexicon", "lang stage"]),
    (short_utterances, 1, ["3 of 24 utterances cannot be used", "too short for its transcript"]),
    (other_features, 1, ["train_hires and", "dev_other differ in num_mel_bins", "one config"]),
    (other_input_dim, 2, ["dim=40", "13 features a frame", "write input dim=13"]),
    (set_without_features, 2, ["train has no features.toml", "chainstitch features"]),
    (unknown_backend, 2, ["chain.backend: wanted one of auto, cpu,", "found 'tpu'"]),
    (k2_with_a_leak, 2, ["no leaky HMM, found chain.leaky = 0.1; set chain.leaky = 0, or"]),
    (momentum_with_backstitch, 2, ["backstitch does not go with momentum; set one of them to 0"]),
    (no_gpu, 2, ["--device cuda", "sees no GPU; use --device cpu"]),
    (unknown_resume, 2, ["--resume wants auto or never, found 'yes'"]),
]


@pytest.mark.parametrize(("damage", "code", "wanted"), BAD, ids=[d.__name__ for d, _, _ in BAD])
def test_bad_input_is_one_line_and_touches_nothing(
    own: Toy,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    damage: Damage,
    code: int,
    wanted: list[str],
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(own, capsys, damage(own), code, *wanted)


def test_a_k2_that_does_not_load_is_refused_before_anything_is_read(
    own: Toy, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    command = own.arguments(out(own), "--set", "chain.backend=k2", "--set", "chain.leaky=0")
    refused(own, capsys, command, 1, "k2 is not installed; install a k2", 'chain.backend = "cpu"')


def refused(
    own: Toy, capsys: pytest.CaptureFixture[str], command: list[str], code: int, *wanted: str
) -> None:
    """The command must fail in one line that has the wanted texts, and change no file."""
    before = fingerprint(own.place)
    capsys.readouterr()
    assert run(*command) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("chainstitch train: error: ")
    assert all(text in line for text in wanted), line
    assert fingerprint(own.place) == before


@pytest.mark.parametrize("damage", [nan_features, truncated_features, misspelt_key, unknown_word])
def test_bad_input_leaves_a_run_that_was_to_be_overwritten(
    own: Toy, capsys: pytest.CaptureFixture[str], damage: Damage
) -> None:
    assert run(*own.arguments(out(own), "--set", "training.passes=0.1")) == 0
    command = [*damage(own), "--overwrite"]
    refused(own, capsys, command, 2 if damage is misspelt_key else 1)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--seed", "1"), "'seed = 0', now 'seed = 1'"),
        (("--set", "optim.initial_lr=0.002"), "'initial_lr = 0.005', now 'initial_lr = 0.002'"),
        (("--set", "training.passes=7"), "'passes = 4.0', now 'passes = 7.0'"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    own: Toy, capsys: pytest.CaptureFixture[str], options: tuple[str, str], wanted: str
) -> None:
    assert run(*own.arguments(out(own))) == 0
    command = own.arguments(out(own), "--resume", "auto", *options)
    refused(own, capsys, command, 2, f"begun with {wanted}", "new --out", "--overwrite")


def test_schedules_and_rules_of_the_config_reach_training(own: Toy) -> None:
    options = {
        "training.dropout_schedule": "tdnn1=0,0.3,0.1",
        "training.minibatch_rule": "100=3/200=1:2",
        "optim.shrink": "0.9",
        "optim.proportional_shrink": "30",
    }
    settings = [word for key, value in options.items() for word in ("--set", f"{key}={value}")]
    assert run(*own.arguments(out(own), *settings)) == 0
    found = rows(out(own))
    proportions = [row["dropout"]["tdnn1"] for row in found]  # type: ignore[index]
    # at the share of training that is done before an iteration, as in Kaldi: the last is at 3 / 4
    assert proportions[0] == 0.0 and max(proportions) > 0.2
    assert proportions[-1] == pytest.approx(0.3 - (0.3 - 0.1) * (3 / 4 - 0.5) / 0.5)
    assert found[0]["shrink"] == pytest.approx(1 - 30 * 5e-3) and found[-1]["shrink"] > 0.96
    assert run(*own.arguments(out(own), *settings, "--resume", "auto")) == 0


@pytest.mark.parametrize(
    ("option", "wanted"),
    [
        ("training.dropout_schedule=0.3@0.5", "dropout_schedule: found '0.3@0.5'; wanted"),
        ("training.dropout_schedule=lstm*=0,0.3,0", "no layer fits 'lstm*'"),
        ("training.minibatch_rule=4,", "minibatch_rule '4,': cannot read '4,'"),
        ('training.minibatch_rule="99"', "24 utterances do not fill a single minibatch"),
        ("optim.proportional_shrink=100", "must be below 0.5, found 100.0 times 0.005"),
    ],
)
def test_schedules_and_rules_that_cannot_be_are_one_line(
    own: Toy, capsys: pytest.CaptureFixture[str], option: str, wanted: str
) -> None:
    refused(own, capsys, own.arguments(out(own), "--set", option), 2, wanted)


def test_resuming_with_another_graph_is_refused(
    own: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*own.arguments(out(own))) == 0
    inputs = ["--data", own.place / "train", "--lang", own.lang, "--out", own.den]
    assert run("den-graph", own.conf, *inputs, "--seed", 9, "--overwrite") == 0
    command = own.arguments(out(own), "--resume", "auto")
    refused(own, capsys, command, 2, "den.npz is not the one", "--overwrite")


def test_overwrite_starts_afresh_but_not_from_a_graph_inside(
    own: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*own.arguments(out(own), "--seed", 1)) == 0
    (out(own) / "final.pt").write_text("of the old run")
    inside = out(own) / "den.npz"
    refused(own, capsys, own.arguments(out(own), "--overwrite", den=inside), 2, "contains an input")
    assert run(*own.arguments(out(own), "--overwrite")) == 0
    assert inside.read_bytes() == own.den.read_bytes()
    assert not (out(own) / "final.pt").exists() and len(rows(out(own))) == 4


def test_one_short_utterance_is_dropped_by_name_and_training_goes_on(
    own: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    (name,) = retext(own.train, {4: "rise fall " * 60})
    with caplog.at_level(logging.INFO):
        assert run(*own.arguments(out(own))) == 0
    wanted = f"1 of 24 utterances dropped, as it is too short for its transcript: {name}"
    assert wanted in caplog.text and "23 utterances, 23 examples, 24 minibatches" in caplog.text


def test_error_at_the_real_terminal_is_one_line(own: Toy) -> None:
    process = spawn(nan_features(own))
    said, log = process.communicate(timeout=120)
    assert process.returncode == 1 and said == "" and len(log.splitlines()) == 1
    assert log.startswith("chainstitch train: error: ") and "Traceback" not in log
