"""`chainstitch info` on an experiment, a data set and a lang directory; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chainstitch.bin.info import info
from chainstitch.utils.errors import UsageError
from chainstitch.utils.report.summary import summarise


def test_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"iter": 0, "train_objf": -0.2, "valid_objf": -0.3, "parameters": 471000},
        {"iter": 1, "train_objf": -0.1, "valid_objf": -0.15, "parameters": 471000},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name in ("0.pt", "1.pt", "final.pt"):
        (tmp_path / name).touch()
    (tmp_path / "decode_test").mkdir()
    line = "%WER 2.50 [ 1 / 40, 1 ins, 0 del, 0 sub ]"
    (tmp_path / "decode_test" / "best_wer").write_text(line + "\n")
    info(tmp_path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "experiment"
    assert (found["iterations"], found["parameters"], found["models"]) == (2, 471000, 3)
    assert (found["final"], found["valid_objf"]) == (True, -0.15)
    assert found["wer"] == {"test": line}
    info(tmp_path)
    assert f"test {line}" in capsys.readouterr().out


def test_data_set(tmp_path: Path) -> None:
    from lhotse import MonoCut, Recording, SupervisionSegment

    from chainstitch.utils.data.manifests import write_set

    cuts = []
    for n, (speaker, text) in enumerate([("a", "yes no"), ("b", "no"), ("a", "no no no")]):
        recording = Recording(
            id=f"r{n}", sources=[], sampling_rate=8000, num_samples=8000 * (n + 1), duration=n + 1.0
        )
        supervision = SupervisionSegment(
            id=f"u{n}", recording_id=f"r{n}", start=0, duration=n + 1.0, text=text, speaker=speaker
        )
        cuts.append(
            MonoCut(
                id=f"u{n}", start=0, duration=n + 1.0, channel=0, recording=recording,
                supervisions=[supervision],
            )
        )  # fmt: skip
    write_set(tmp_path / "train", cuts)
    found = summarise(tmp_path / "train")
    assert (found["kind"], found["cuts"], found["speakers"]) == ("data", 3, 2)
    assert (found["words"], found["distinct_words"]) == (6, 2)
    assert found["hours"] == pytest.approx(6 / 3600, abs=1e-4)
    assert found["sampling_rates"] == "8000"
    assert found["features"] is False


@pytest.mark.parametrize("name", ["absent", "empty"])
def test_what_is_no_directory_of_ours_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="give data/<set>, data/lang or exp/<name>"):
        info(tmp_path / name)


NET = """
input name=ivector dim=10
input name=input dim=20
fixed-affine-layer name=lda input=Append(-1,0,1,ReplaceIndex(ivector,t,0))
relu-renorm-layer name=tdnn1 dim=30
relu-renorm-layer name=tdnn2 dim=40 input=Append(-3,0,3)
fast-lstmp-layer name=lstm cell-dim=16 delay=-3
output-layer name=output
output-layer name=output-xent input=lstm
"""


def test_network_of_an_xconfig(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.xconfig").write_text(NET)
    info(tmp_path / "a.xconfig", num_pdfs=50, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "network"
    lstm, output = (40 + 4 + 1) * 64 + 3 * 16 + 17 * 8, 9 * 50
    assert found["parameters"] == 71 * 30 + 91 * 40 + lstm + 2 * output
    assert found["parameters_of_other_outputs"] == output
    assert found["fixed_parameters"] == 70 * 71
    assert (found["left_context"], found["right_context"]) == (4, 4)
    # all at every third frame; two flops for each weight of a matrix
    flops = 2 * (3 * (70 * 70 + 70 * 30) / 3 + 90 * 40 + (44 * 64 + 16 * 8) + 8 * 50)
    assert found["flops_per_output_frame"] == flops
    assert found["saved_by_grid"] == 3.0
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert [layers["tdnn1"][key] for key in ("dim_in", "dim_out", "first", "last", "step")] == [
        70, 30, -3, 3, 3,
    ]  # fmt: skip
    info(tmp_path / "a.xconfig", num_pdfs=50)
    shown = capsys.readouterr().out
    assert "output, output-xent" in shown
    assert len([line for line in shown.splitlines() if "fast-lstmp-layer" in line]) == 1


def test_network_of_a_config_and_of_an_experiment(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f'[network]\nxconfig = """{NET}"""\nsubsampling = 1\n'
    (tmp_path / "config.toml").write_text(config)
    info(tmp_path / "config.toml", num_pdfs=50, as_json=True)
    alone = json.loads(capsys.readouterr().out)
    assert (alone["subsampling"], alone["saved_by_grid"]) == (1, 1.0)
    (tmp_path / "network.xconfig").write_text(NET)
    info(tmp_path, as_json=True)  # which does not say how many pdfs
    assert "layers" not in json.loads(capsys.readouterr().out)
    (tmp_path / "receipt.json").write_text('{"num_pdfs": 50}')
    info(tmp_path, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["kind"] == "experiment"
    assert (found["layers"], found["parameters"]) == (alone["layers"], alone["parameters"])


@pytest.mark.parametrize(("name", "message"), [("a.txt", "named .xconfig or .toml"),
                                               ("a.xconfig", "add --num-pdfs")])  # fmt: skip
def test_what_is_no_network_is_a_usage_error(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_text(NET)
    with pytest.raises(UsageError, match=message):
        info(tmp_path / name)


@pytest.mark.parametrize(
    ("config", "hours", "passes", "pdfs", "parameters", "archives", "iterations"),
    [
        ("ami/conf/tdnn_lstm_1j", 69.44, 12, 3770, 43_447_156, 51, 87),  # Kaldi's 4 epochs
        ("ami/conf/tdnn_lstm_1j", 70.50, 12, 3770, 43_447_156, 52, 89),
        ("swbd/conf/tdnn_lstm_1e", 286, 12, 6050, 39_574_852, 208, 262),
        ("swbd/conf/blstm_6k", 285.7, 12, 6050, 41_120_580, 259, 327),
        ("tedlium/conf/tdnn_lstm_1v", 203.1, 12, 3608, 33_922_608, 148, 253),
        ("tedlium/conf/tdnn_lstm_1v", 203.1, 0, 3608, 33_922_608, 148, 444),  # the config's 21
    ],
)
def test_parameters_and_iterations_of_the_configs_are_kaldis(
    repository: Path,
    capsys: pytest.CaptureFixture[str],
    config: str,
    hours: float,
    passes: float,
    pdfs: int,
    parameters: int,
    archives: int,
    iterations: int,
) -> None:
    speeds = 1 / 0.9 + 1 + 1 / 1.1
    path = repository / "egs" / f"{config}.toml"
    info(path, num_pdfs=pdfs, hours=speeds * hours, passes=passes, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["parameters"], found["archives"]) == (parameters, archives)
    assert found["iterations"] == iterations
