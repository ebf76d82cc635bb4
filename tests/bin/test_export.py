"""`chainstitch export`: files that run without chainstitch and give what `decode` searches with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chainstitch.nnet import infer
from chainstitch.nnet.export import formats
from chainstitch.nnet.export.check import Trial, check, trial
from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks.speech_config import NetworkText, SpeechConfig
from chainstitch.utils import checkpoint
from chainstitch.utils import config as configs
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import digest
from chainstitch.utils.errors import UserError
from tests.toy import Toy, fingerprint, make_ivectors, run

IVECTOR = "ReplaceIndex(ivector, t, 0)"
TDNN = f"""input name=ivector dim=4
input name=input dim=13
idct-layer name=idct input=input
batchnorm-component name=bn
spec-augment-layer name=spec
relu-batchnorm-layer name=a dim=16 input=Append(-1,0,1,{IVECTOR}) dropout-proportion=0.1
tdnnf-layer name=b dim=16 bottleneck-dim=5 time-stride=3
prefinal-layer name=c big-dim=16 small-dim=8
output-layer name=output
"""
LSTM = """input name=input dim=13
relu-renorm-layer name=a dim=16 input=Append(-2,-1,0,1,2)
fast-lstmp-layer name=l cell-dim=16 delay=-3 decay-time=20 dropout-proportion=0.3
relu-renorm-layer name=b dim=16 input=Append(-3,0,3)
fast-lstmp-layer name=m cell-dim=16 delay=-3 decay-time=20
output-layer name=output output-delay=5
"""
BLSTM = """input name=input dim=13
fast-lstmp-layer name=f cell-dim=12 delay=-3 decay-time=20 input=Append(-1,0,1)
fast-lstmp-layer name=g cell-dim=12 delay=3 decay-time=20 input=Append(-1,0,1)
lstmp-layer name=h cell-dim=12 delay=-1 input=Append(f,g)
fast-lstm-layer name=i cell-dim=12 delay=2 input=Append(f,g)
output-layer name=output input=Append(h,i) include-log-softmax=false
"""
BOTH = """input name=input dim=13
fast-lstmp-layer name=f cell-dim=12 delay=-3 decay-time=20 input=Append(-1,0,1)
fast-lstmp-layer name=g cell-dim=12 delay=3 decay-time=20 input=Append(-2,0,2)
relu-renorm-layer name=a dim=16 input=Append(f,g) dropout-proportion=0.2
fast-lstm-layer name=i cell-dim=12 delay=2 dropout-proportion=0.2
output-layer name=output include-log-softmax=true
"""
TEXTS = {"tdnn": TDNN, "lstm": LSTM, "blstm": BLSTM, "both": BOTH}
CROSS_ENTROPY = ("lstm", "both")
# it must not be importable: a fresh Python, isolated, where the name is barred
CONSUMER = """
import sys
sys.modules["chainstitch"] = None
import numpy, json
path, given, out = sys.argv[1:]
arrays = dict(numpy.load(given))
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path)
    about = session.get_modelmeta().custom_metadata_map["chainstitch.json"]
    values, lengths = session.run(["log_likes", "out_lengths"], arrays)
else:
    import torch
    extra = {"chainstitch.json": ""}
    module = torch.jit.load(path, _extra_files=extra)
    about = extra["chainstitch.json"].decode()
    names = [name for name in json.loads(about)["inputs"]]
    values, lengths = (x.numpy() for x in module(*(torch.from_numpy(arrays[n]) for n in names)))
assert not [name for name in sys.modules if name.startswith("chainstitch.")]
numpy.savez(out, values=values, lengths=lengths, about=about)
"""


def experiment(toy: Toy, place: Path, text: str, cross_entropy: bool = False) -> Path:
    """A directory as `train` and `combine` leave it, of a network with random parameters."""
    torch.manual_seed(1)
    network = Network(text, 8)
    with torch.no_grad():
        for p in network.parameters():
            p.normal_(0.0, 0.4)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm1d):
                module.running_mean.normal_()  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2.0)  # type: ignore[union-attr]
    state: dict[str, Any] = {"model": network.state_dict(), "num_outputs": 8, "subsampling": 3}
    if network.ivector_dim:
        state["ivector_extractor"] = digest(b"e")
    if cross_entropy:
        state |= {"log_prior": torch.randn(8).log_softmax(0), "acoustic_scale": 0.3}
    place.mkdir(parents=True)
    configs.save(SpeechConfig(NetworkText(text)), place / "config.toml")
    (place / "features.toml").write_bytes((toy.train / "features.toml").read_bytes())
    checkpoint.save(state, place / "final.pt")
    return place


@pytest.mark.parametrize(
    ("name", "kind"), [*((name, "pt") for name in TEXTS), ("tdnn", "onnx"), ("both", "onnx")]
)
def test_a_python_without_chainstitch_gets_what_decode_searches_with(
    own: Toy, tmp_path: Path, name: str, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxscript")
    exp = experiment(own, tmp_path / "exp", TEXTS[name], cross_entropy=name in CROSS_ENTROPY)
    make_ivectors(own.dev, 4, "e")
    out = tmp_path / "made" / f"model.{kind}"
    assert run("export", exp, "--out", out, "--data", own.dev) == 0
    assert f"6 utterances of {own.dev}, and 4 beginnings, 1 to " in capsys.readouterr().out
    assert [p.name for p in out.parent.iterdir()] == [out.name]

    model = infer.load_model(exp)
    reader = FeatureReader(own.dev)
    voices = infer.ivector_reader(model, own.dev)
    features = [reader.load(cut)[: 17 + 40 * n] for n, cut in enumerate(reader.cuts[:4])]
    given = {"lengths": np.array([len(matrix) for matrix in features])}
    given["features"] = np.full((4, given["lengths"].max() + 2, 13), 1e9, np.float32)
    for n, matrix in enumerate(features):
        given["features"][n, : len(matrix)] = matrix
    ivectors = None
    if voices is not None:
        ivectors = [voices.load(cut.id) for cut in reader.cuts[:4]]
        given["ivectors"] = np.stack(ivectors)
    np.savez(tmp_path / "given.npz", **given)  # type: ignore[arg-type]
    command = [
        sys.executable,
        "-I",
        "-c",
        CONSUMER,
        out,
        tmp_path / "given.npz",
        tmp_path / "got.npz",
    ]
    subprocess.run(list(map(str, command)), check=True, cwd=tmp_path)
    got = np.load(tmp_path / "got.npz")
    for n, wanted in enumerate(infer.log_likes(model, features, ivectors)):
        assert got["lengths"][n] == len(wanted) == -(-len(features[n]) // 3)
        np.testing.assert_allclose(got["values"][n, : len(wanted)], wanted, rtol=0, atol=1e-4)
        assert not got["values"][n, len(wanted) :].any()
    about = json.loads(str(got["about"]))
    assert about["inputs"]["features"]["shape"] == ["batch", "frames", 13]
    assert about["outputs"]["log_likes"]["shape"] == ["batch", "ceil(frames/3)", 8]
    assert list(about["inputs"]) == ["features", "lengths", *["ivectors"] * (name == "tdnn")]
    assert about["criterion"] == ("cross_entropy" if name in CROSS_ENTROPY else "lfmmi")
    assert about["recurrent"] == (name != "tdnn") and about["num_pdfs"] == 8
    assert about["features"]["sampling_rate"] == 8000 and about["features"]["num_ceps"] == 13


def test_a_trained_model_is_checked_on_noise_without_data(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp = tmp_path / "exp"
    assert run(*toy.arguments(exp, "--set", "training.passes=1")) == 0
    assert run("combine", exp) == 0
    capsys.readouterr()
    assert run("export", exp, "--out", tmp_path / "model.pt") == 0
    said = capsys.readouterr().out
    assert "checked on features of noise, 8 times, and 4 beginnings, 1 to " in said
    assert "inputs: features float32 (batch, frames, 13); lengths int64 (batch)" in said


def test_a_wrong_weight_anywhere_is_found(own: Toy, tmp_path: Path) -> None:
    make_ivectors(own.dev, 4, "e")
    for name, text in TEXTS.items():
        exp = experiment(own, tmp_path / name, text)
        model = infer.load_model(exp)
        every = trial(exp, model, own.dev)
        voices = None if every.ivectors is None else every.ivectors[:2]
        utterances = Trial(every.features[:2], voices, every.said)
        module = formats.portable(model)
        assert check(model, module, utterances, 1e-4).difference < 1e-4
        for place, values in module.named_buffers():
            if place == "log_prior" or not values.numel():  # of cross-entropy; of no projection
                continue
            kept = values.clone()
            values += 0.1 * torch.randn_like(values)
            with pytest.raises(UserError, match="differs from the model by"):
                check(model, module, utterances, 1e-4)
            values.copy_(kept)


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_a_file_that_computes_something_else_is_not_kept(
    toy: Toy, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if kind == "onnx":
        pytest.importorskip("onnxscript")
    exp, out = experiment(toy, tmp_path / "exp", LSTM), tmp_path / "model"
    out.write_text("the old one has a chainstitch.json, too")
    write, load = formats.FORMATS[kind]

    def damaged(module: Any, about: str) -> bytes:
        module.nodes[1].layers[0].w_r[0, 0] += 0.3
        return write(module, about)

    monkeypatch.setitem(formats.FORMATS, kind, (damaged, load))
    before = fingerprint(tmp_path)
    assert run("export", exp, "--out", out, "--format", kind, "--overwrite") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "the exported file differs from the model by" in line and "nothing was written" in line
    assert fingerprint(tmp_path) == before


def test_the_tolerance_is_kept_to(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp, out = experiment(toy, tmp_path / "exp", LSTM), tmp_path / "model.pt"
    assert run("export", exp, "--out", out, "--tolerance", "0") == 1
    assert "allowed is 0 " in capsys.readouterr().err and not out.exists()
    assert run("export", exp, "--out", out, "--tolerance", "1e-4") == 0
    assert run("export", exp, "--out", out) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_what_cannot_be_exported_is_one_line(
    own: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exp = experiment(own, tmp_path / "exp", TDNN)
    out = ("--out", tmp_path / "model")

    def refused(*arguments: object, code: int) -> str:
        assert run("export", *arguments) == code
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("chainstitch export: error: ") and not (tmp_path / "model").exists()
        return line

    assert "wanted" not in refused(exp, *out, "--data", own.dev, code=2)  # no i-vectors there
    make_ivectors(own.dev, 4, "another")
    assert "is not of the extractor" in refused(exp, *out, "--data", own.dev, code=1)
    assert "found 'trace'" in refused(exp, *out, "--format", "trace", code=2)
    toml = exp / "features.toml"
    toml.write_text(toml.read_text().replace("num_ceps = 13", "num_ceps = 12"))
    assert "num_ceps = 12, the network" in refused(exp, *out, "--data", own.dev, code=1)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    line = refused(exp, *out, "--format", "onnx", code=1)
    assert "onnxscript" in line and "--format torchscript" in line
    (exp / "final.pt").unlink()
    assert "has no final.pt; finish training and run" in refused(exp, *out, code=1)
    assert "has no config.toml" in refused(tmp_path, *out, code=1)
