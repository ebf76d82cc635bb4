"""Models, and what belongs to them, from elsewhere: one line says what was found and wanted.

Each row damages a trained run (`exp`), or the data that it reads, runs a command, and names the
exit code and what is said. What was there before must be there after, bit for bit.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests import images
from tests import toy as toys
from tests.toy import LEXICON, Toy, fingerprint, run


@dataclass(frozen=True)
class Place:
    """A run to damage, its development set, and the toy that both are of."""

    toy: Toy
    exp: Path
    dev: Path

    def command(self, name: str) -> list[str]:
        """A command that reads the run."""
        out = ["--out", str(self.exp.parent / "out")]
        exp, lang = str(self.exp), ["--lang", str(self.toy.lang)]
        wav = str(next((self.toy.place / "wav").rglob("*.wav")))
        commands = {
            "decode": ["decode", exp, "--data", str(self.dev), *lang, *out, "--nj", "1"],
            "align": ["align", exp, "--data", str(self.dev), *lang, *out],
            "align wav": ["align", exp, wav, *lang, *out],
            "transcribe": ["transcribe", exp, wav, *lang],
            "export": ["export", exp, *out],
            "combine": ["combine", exp, "--overwrite", "--device", "cpu"],
            "bfgs": ["combine", exp, "--overwrite", "--device", "cpu", "--method", "bfgs"],
            "resume": self.toy.arguments(self.exp, "--resume", "auto"),
            "train": self.toy.arguments(self.exp.parent / "out", valid=self.dev),
            "job": ["train-job", exp, "--iteration", "3", "--job", "1"],
        }
        return commands[name]


Damage = Callable[[Place], None]


def edit(name: str, change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Changes what a checkpoint holds, in place, or replaces it by what `change` returns."""

    def damage(place: Place) -> None:
        path = place.exp / name
        state = torch.load(path, weights_only=True)
        changed = change(state)
        torch.save(state if changed is None else changed, path)

    return damage


def put(name: str, *keys: Any, value: Any) -> Damage:
    """Puts a value somewhere in a checkpoint."""

    def change(state: dict[str, Any]) -> None:
        at: Any = state
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return edit(name, change)


def without(name: str, *keys: Any) -> Damage:
    """Takes a value out of a checkpoint."""

    def change(state: dict[str, Any]) -> None:
        at: Any = state
        for key in keys[:-1]:
            at = at[key]
        del at[keys[-1]]

    return edit(name, change)


def replace(name: str, old: str, new: str) -> Damage:
    """Changes a text file of the run."""

    def damage(place: Place) -> None:
        path = place.exp / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return damage


def means(**arrays: Any) -> Damage:
    """Changes arrays of the development set's means.npz."""

    def damage(place: Place) -> None:
        path = place.dev / "means.npz"
        with np.load(path) as table:
            kept = dict(table)
        np.savez(path, **(kept | {k: v(kept[k]) for k, v in arrays.items()}))

    return damage


def no_means(place: Place) -> None:
    (place.dev / "means.npz").unlink()


def other_features(place: Place) -> None:
    """Of another dimension."""
    config = place.dev / "features.toml"
    config.write_text(config.read_text().replace("num_ceps = 13", "num_ceps = 12"))
    means(cut_sums=lambda x: x[:, :12], prior=lambda x: x[:12])(place)


def other_bins(place: Place) -> None:
    """Of the same dimension, which nothing notices."""
    config = place.dev / "features.toml"
    config.write_text(config.read_text().replace("num_mel_bins = 20", "num_mel_bins = 30"))


def zip_of_text(place: Place) -> None:
    import zipfile

    with zipfile.ZipFile(place.exp / "final.pt", "w") as archive:
        archive.writestr("notes.txt", "not a model")


def gone(name: str) -> Damage:
    """Deletes a file of the run."""
    return lambda place: (place.exp / name).unlink()


def half(x: Any) -> Any:
    return x[:, : x.shape[1] // 2]


W1, W2 = "layers.tdnn1.0.weight", "layers.tdnn2.0.weight"
SIDE = ("stepper", "natural_gradient", "layers.tdnn1.0", 0)
FOREIGN = "4.pt is of another network than"
NOT_OURS = "is not one of ours"

ROWS: list[tuple[str, Damage, int, str]] = [
    # final.pt
    ("decode", put("final.pt", "model", value="a text"), 1, "its 'model' is a value of type str"),
    ("decode", put("final.pt", "model", W1, value="a text"), 1, f"model.{W1} is a value of type"),
    ("align", put("final.pt", "model", W1, value=torch.zeros(16, 20)), 1, "is 16x20 of float32"),
    ("transcribe", put("final.pt", "model", W1, value=torch.zeros(16, 39).double()), 1, "float64"),
    ("export", without("final.pt", "model", W2), 1, f"model has no '{W2}'"),
    ("decode", put("final.pt", "model", "more", value=torch.zeros(1)), 1, "model has a 'more'"),
    ("decode", put("final.pt", "model", value={}), 1, "final.pt is of another network than"),
    ("decode", put("final.pt", "num_outputs", value="8"), 1, "its 'num_outputs' is a value of"),
    ("decode", put("final.pt", "num_outputs", value=-1), 2, "1 or more outputs"),
    ("decode", put("final.pt", "num_outputs", value=10**13), 2, "GB of memory"),
    ("decode", put("final.pt", "num_outputs", value=9), 1, "is of another network than"),
    ("decode", put("final.pt", "log_prior", value=torch.zeros(3)), 1, "its log_prior is (3,)"),
    ("decode", put("final.pt", "log_prior", value="x"), 1, "its 'log_prior' is a value of"),
    ("decode", edit("final.pt", lambda state: [1, 2]), 1, "it has no 'model'"),
    ("decode", edit("final.pt", lambda state: "model"), 1, "it has no 'model'"),
    ("decode", zip_of_text, 1, "cannot be read"),
    # <n>.pt when a run goes on
    ("resume", put("4.pt", "model", W1, value=torch.zeros(16, 20)), 1, FOREIGN),
    ("resume", put("4.pt", "model", W1, value="x"), 1, FOREIGN),
    ("resume", put("4.pt", "model", value={}), 1, FOREIGN),
    ("resume", without("4.pt", "stepper", "optimizer"), 1, "stepper has no 'optimizer'"),
    ("resume", put("4.pt", "stepper", "optimizer", value="x"), 1, "optimizer is a value of type"),
    ("resume", put("4.pt", "stepper", "optimizer", "param_groups", value=[]), 1, "a list of 0"),
    ("resume", put("4.pt", "stepper", "optimizer", "state", value={0: {"momentum": torch.ones(3)}}),
     1, "optimizer: momentum of parameter 0 is (3,)"),
    ("resume", put("4.pt", "stepper", "optimizer", "state", value={99: {}}), 1, "parameter 99"),
    ("resume", without("4.pt", *SIDE[:3]), 1, "stepper.natural_gradient has no 'layers.tdnn1.0'"),
    ("resume", put("4.pt", *SIDE, "w", value="x"), 1, "4.pt is not of this run"),
    ("resume", edit("4.pt", lambda s: s["stepper"]["natural_gradient"]["layers.tdnn1.0"][0].update(
        w=torch.ones(4, 5), d=torch.ones(4))), 1, "natural gradient of layer 'layers.tdnn1.0'"),
    ("resume", put("4.pt", "stepper", "wrapper", value={}), 1, "stepper.wrapper has no 'phase'"),
    ("resume", put("4.pt", "stepper", "random", value=torch.zeros(3, dtype=torch.uint8)), 1,
     "stepper.random is 3 of uint8, wanted"),
    ("resume", put("4.pt", "rows", value="{"), 1, "4.pt is not of this run"),
    ("resume", put("4.pt", "rows", value="[]"), 1, "0 rows after 4 iterations"),
    ("resume", put("4.pt", "next_iteration", value=10**9), 1, "after 1000000000 iterations"),
    ("resume", put("4.pt", "num_iterations", value=9), 1, "is from a run of 9 iterations"),
    ("job", put("3.pt", "model", W1, value=torch.zeros(16, 20)), 1, "3.pt is of another network"),
    ("job", put("3.pt", "stepper", value="x"), 1, "its 'stepper' is a value of type str"),
    # <n>.pt when models are combined
    ("combine", put("4.pt", "model", W1, value=torch.zeros(16, 20)), 1, FOREIGN),
    ("combine", put("3.pt", "model", W1, value=torch.zeros(16, 20)), 1, "3.pt is of another"),
    ("combine", put("3.pt", "model", W1, value="x"), 1, "3.pt is of another network than"),
    ("combine", without("4.pt", "num_iterations"), 1, "it has no 'num_iterations'"),
    ("combine", put("4.pt", "finished", value="yes"), 1, "its 'finished' is a value of type str"),
    ("bfgs", without("3.pt", "model", W2), 1, f"model has no '{W2}'"),
    # features.toml of another dimension, beside the model and beside the data
    ("decode", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 1,
     "exp/features.toml has num_ceps = 12, the network in"),
    ("align", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 1, "num_ceps = 12"),
    ("align wav", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 1, "takes 13"),
    ("transcribe", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 1, "takes 13"),
    ("export", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 1, "takes 13"),
    ("combine", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 2,
     "has num_ceps = 13, "),
    ("resume", replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 2,
     "features.toml is not the one that"),
    ("transcribe", gone("features.toml"), 2, "features.toml does not exist"),
    ("decode", other_features, 2, "dev_hires has num_ceps = 12, "),
    ("align", other_features, 2, "dev_hires has num_ceps = 12, "),
    ("decode", other_bins, 2, "dev_hires has num_mel_bins = 30, "),
    ("align", other_bins, 2, "dev_hires has num_mel_bins = 30, "),
    # means.npz
    ("decode", no_means, 1, "means.npz does not exist; run `chainstitch features` again"),
    ("decode", means(cut_sums=half), 1, "sums of 6 numbers, a prior of (13,)"),
    ("align", means(cut_sums=half, prior=lambda x: x[:6]), 1,
     "means.npz has means of (6,) and (6,) numbers"),
    ("train", means(prior=lambda x: x[:6]), 1, "sums of 13 numbers, a prior of (6,)"),
    ("decode", means(cut_counts=lambda x: x[:, None]), 1, "means.npz is damaged"),
    ("decode", means(cut_sums=lambda x: x * np.nan), 1, "sums that are not finite numbers"),
    ("decode", means(cut_sums=lambda x: x.astype(str)), 1, "sums that are not finite numbers"),
    ("decode", means(cut_ids=lambda x: x[::-1][:3]), 1, "means.npz is damaged"),
    ("decode", means(cut_ids=lambda x: np.array(["x"] * len(x))), 1, "means.npz lacks cut"),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four iterations, and its final model."""
    return toys.trained(toy, tmp_path_factory.mktemp("trained") / "exp")


@pytest.fixture
def place(toy: Toy, trained: Path, tmp_path: Path) -> Place:
    exp = Path(shutil.copytree(trained, tmp_path / "exp"))
    return Place(toy, exp, Path(shutil.copytree(toy.dev, tmp_path / "dev_hires")))


def refused(capsys: pytest.CaptureFixture[str], command: list[str], code: int, said: str) -> None:
    """The command must fail, and its last line say why."""
    capsys.readouterr()
    assert run(*command) == code
    (line,) = [x for x in capsys.readouterr().err.splitlines() if " INFO " not in x]
    assert line.startswith(f"chainstitch {command[0]}: error: ") and said in line, line


@pytest.mark.parametrize(
    ("command", "damage", "code", "said"), ROWS, ids=[f"{c}: {s[:40]}" for c, _, _, s in ROWS]
)
def test_what_does_not_belong_there_is_named(
    place: Place, capsys: pytest.CaptureFixture[str], command: str, damage: Damage, code: int,
    said: str,
) -> None:  # fmt: skip
    damage(place)
    before = fingerprint(place.exp.parent)
    refused(capsys, place.command(command), code, said)
    after = fingerprint(place.exp.parent)
    graphs = {name for name in after if name.startswith("exp/graph_")}  # which decoding keeps
    assert {k: v for k, v in after.items() if k not in graphs} == before


@pytest.mark.parametrize("part", ["model", "stepper", "rows", "finished", "examples"])
def test_a_checkpoint_that_is_none_is_left_for_the_one_before(
    place: Place, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    put("4.pt", part, value=torch.zeros(3))(place)
    assert run(*place.command("resume")) == 0
    assert f"{NOT_OURS}: its {part!r} is 3 of float32, wanted" in caplog.text
    assert torch.load(place.exp / "4.pt", weights_only=True)["finished"] is True


def test_a_lang_directory_of_another_model(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    lexicon, lang = place.exp.parent / "lexicon", place.exp.parent / "lang"
    lexicon.write_text(LEXICON + "extra X\n")
    assert run("lang", lexicon, "--grammar", "uniform", "--out", lang) == 0
    for name in ("decode", "align"):
        command = [str(lang) if x == str(place.toy.lang) else x for x in place.command(name)]
        refused(capsys, command, 1, "was made with 4 phones")
    (place.exp / "phones.txt").unlink()  # nothing says so before the search
    command = [str(lang) if x == str(place.toy.lang) else x for x in place.command("decode")]
    refused(capsys, command, 1, "pdfs")


def test_classes_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images.write(tmp_path)
    exp = tmp_path / "exp"
    assert run(*images.arguments(tmp_path, exp, "--set", "training.passes=1")) == 0
    assert run("combine", exp, "--device", "cpu") == 0
    commands = {
        "classify": ["classify", str(exp), "--data", str(tmp_path / "test"), "--out",
                     str(tmp_path / "out")],
        "combine": ["combine", str(exp), "--overwrite", "--device", "cpu"],
        "resume": images.arguments(tmp_path, exp, "--set", "training.passes=1", "--resume", "auto"),
    }  # fmt: skip
    for text, found in (
        ("red\ngreen\n", ["has 2 classes, the network 3", "other classes", "other classes"]),
        ("red\ngreen\nblack\n", ["other classes", "other classes", "other classes"]),
    ):
        (exp / "classes.txt").write_text(text)
        for command, said in zip(commands.values(), found, strict=True):
            refused(capsys, command, 1, said)
    (exp / "classes.txt").unlink()
    for command in commands.values():
        refused(capsys, command, 1, "classes.txt does not exist")


VOICES = "num_gauss = 4\ndim = 3\npca_dim = 10\nubm_iterations = 2\niterations = 1\n"
PARTS = [
    (put("ivector.pt", "front", value="x"), 1, "its 'front' is a value of type str, wanted dict"),
    (put("ivector.pt", "front", "transform", value=torch.ones(10, 3)), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "ubm", "means", value="x"), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "ubm", "means", value=torch.ones(4, 9)), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "ubm", "weights", value=torch.ones(5)), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "extractor", "T", value=torch.ones(4, 10)), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "extractor", "more", value=1), 1, "ivector.pt is damaged"),
    (put("ivector.pt", "constants", "period", value=0), 1, "ivector.pt is damaged"),
    (replace("features.toml", "num_ceps = 13", "num_ceps = 12"), 2, "num_ceps = 13"),
    (gone("ivector.pt"), 1, "has no ivector.pt"),
]  # fmt: skip


@pytest.fixture(scope="module")
def extractor(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An i-vector extractor."""
    place = tmp_path_factory.mktemp("extractor")
    (place / "voices.toml").write_text(VOICES)
    out = place / "exp"
    assert run("ivectors", "train", place / "voices.toml", "--data", toy.train, "--out", out) == 0
    return out


@pytest.mark.parametrize(("damage", "code", "said"), PARTS)
def test_parts_of_another_extractor(
    toy: Toy, extractor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: Damage,
    code: int, said: str,
) -> None:  # fmt: skip
    exp = Path(shutil.copytree(extractor, tmp_path / "exp"))
    damage(Place(toy, exp, toy.dev))
    command = ["ivectors", "extract", str(exp), "--data", str(toy.dev), "--out"]
    refused(capsys, [*command, str(tmp_path / "out.h5")], code, said)
    assert not (tmp_path / "out.h5").exists()
