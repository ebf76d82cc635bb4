"""A trained model as one file that runs without chainstitch: what `chainstitch export` does.

The file holds the network of nets/portable.py, called with

    features   float32 (batch, frames, dim)   as features.toml has them, the mean subtracted
    lengths    int64 (batch,)                 frames of each sequence, 1 to `frames`
    ivectors   float32 (batch, ivector_dim)   only where the network has that input

for any batch and any frames, padded with anything, and gives

    log_likes    float32 (batch, ceil(frames / subsampling), pdfs)   zero past each length
    out_lengths  int64 (batch,)                                      ceil(length / subsampling)

log_likes is, frame by frame, what `chainstitch decode` hands to its decoder (infer/outputs.py): the
main output of a model trained by LF-MMI; of one trained by cross-entropy the scaled
log-likelihoods, priors taken out. Dropout and augmentation are off, batch-norm has its final
statistics.

With it goes, as JSON text, what a program has to know to feed it (`describe`): in TorchScript the
extra file `chainstitch.json`, in ONNX the metadata entry of that name.

Two formats. **TorchScript**: Python and C++, by torch alone. torch calls it deprecated, but it is
what libtorch loads, loops over any number of frames included. **ONNX**: any of its runtimes, where
an LSTM is one `Scan`; to write it takes the extra `export`. (torch.export has its own file, too;
but C++ cannot load it as it stands, and it refuses features too few for two outputs.) To load:

    extra = {"chainstitch.json": ""}
    module = torch.jit.load("a.pt", _extra_files=extra)
    about = json.loads(extra["chainstitch.json"])
    log_likes, out_lengths = module(features, lengths)

    session = onnxruntime.InferenceSession("a.onnx")
    about = json.loads(session.get_modelmeta().custom_metadata_map["chainstitch.json"])
    log_likes, out_lengths = session.run(None, {"features": features, "lengths": lengths})

No file takes its name before it was loaded back and compared with the eager model: check.py.
"""

from __future__ import annotations

import dataclasses
import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet import infer
from chainstitch.nnet.export.check import TOLERANCE, Runner, check, trial
from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.nets.portable import Portable, PortableWithIvectors
from chainstitch.utils.data.features import FRAME_LENGTH, FRAME_SHIFT, OF_TRAINING
from chainstitch.utils.errors import UsageError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.log import package_version
from chainstitch.utils.optional import load_onnx

ABOUT = "chainstitch.json"
OUTPUTS = ("log_likes", "out_lengths")


def export_model(
    exp: Path, out: Path, kind: str, data: Path | None = None, tolerance: float = TOLERANCE
) -> dict[str, Any]:
    """Writes the final model of `exp` to `out`; returns what is in the file and how it was checked.

    Args:
        kind: one of FORMATS.
        data: a feature directory to check with; None: features of noise.
        tolerance: of the largest difference, see check.py.

    Returns:
        `describe`'s, and `largest_difference`, `allowed`, `checked_on`, `bytes`.

    Raises:
        UsageError: no such format.
        UserError: no final model; ONNX is not installed; data that do not fit; or the file's
            results are not the model's. Then nothing was written.
    """
    if kind not in FORMATS:
        raise UsageError(f"--format wants {' or '.join(FORMATS)}, found {kind!r}")
    write, load = FORMATS[kind]
    if kind == "onnx":
        load_onnx()
    model = infer.load_model(exp)
    about = describe(exp, model) | {"format": kind}
    utterances = trial(exp, model, data)
    module = portable(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out, "wb") as stream:
        stream.write(write(module, json.dumps(about)))
        stream.flush()
        found = check(model, load(Path(stream.name)), utterances, tolerance)
        size = stream.tell()
    return about | {
        "largest_difference": found.difference, "allowed": found.allowed,
        "checked_on": utterances.said, "bytes": size,
    }  # fmt: skip


def portable(model: infer.Model) -> Portable:
    """The module that is exported."""
    if isinstance(model, Network):
        return _kind(model)(model)
    return _kind(model)(model.network, model.log_prior, model.scale)


def _kind(model: infer.Model) -> type[Portable]:
    return PortableWithIvectors if model.ivector_dim else Portable


def describe(exp: Path, model: infer.Model) -> dict[str, Any]:
    """Inputs, outputs, and the features that the model wants, for the file.

    Raises:
        UserError: the directory has no features.toml; or the features want the training set's mean,
            and that is gone.
    """
    settings, prior = infer.feature_settings(exp, model)
    features = dataclasses.asdict(settings)
    for of_training in OF_TRAINING:
        del features[of_training]
    if prior is not None:
        features["causal_prior"] = [float(x) for x in prior]
    network = model if isinstance(model, Network) else model.network
    inputs = {
        "features": {"dtype": "float32", "shape": ["batch", "frames", network.input_dim]},
        "lengths": {"dtype": "int64", "shape": ["batch"]},
    }
    if network.ivector_dim:
        inputs["ivectors"] = {"dtype": "float32", "shape": ["batch", network.ivector_dim]}
    rate = network.subsampling
    return {
        "made_by": f"chainstitch {package_version('chainstitch')}, torch {torch.__version__}",
        "experiment": exp.resolve().name,
        "inputs": inputs,
        "outputs": {
            "log_likes": {
                "dtype": "float32",
                "shape": ["batch", f"ceil(frames/{rate})", network.num_outputs],
            },
            "out_lengths": {"dtype": "int64", "shape": ["batch"]},
        },
        "criterion": "lfmmi" if model is network else "cross_entropy",
        "subsampling": rate,
        "num_pdfs": network.num_outputs,
        "left_context": network.left_context,
        "right_context": network.right_context,
        "recurrent": any(node.is_lstm for node in network.nodes),
        "features": features | {"frame_length": FRAME_LENGTH, "frame_shift": FRAME_SHIFT},
        "ivector_extractor": network.ivector_extractor,
    }


def _write_torchscript(module: Portable, about: str) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), stream, _extra_files={ABOUT: about})
    return stream.getvalue()


def _load_torchscript(path: Path) -> Runner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        module = torch.jit.load(path)

    def run(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        values, lengths = module(*arguments)
        return values, lengths

    return run


def _write_onnx(module: Portable, about: str) -> bytes:
    from onnx_ir.passes import common

    # the sizes stand for any others; all are different, so that none is taken for another
    dim, ivector_dim = module.input_dims
    example = {"features": torch.zeros(3, 50, dim), "lengths": torch.tensor([50, 31, 7])}
    axes = {"features": {0: "batch", 1: "frames"}, "lengths": {0: "batch"}}
    if isinstance(module, PortableWithIvectors):
        example["ivectors"], axes["ivectors"] = torch.zeros(3, ivector_dim), {0: "batch"}
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it misses torchvision
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module, tuple(example.values()), dynamo=True, dynamic_shapes=axes,
                input_names=list(example), output_names=list(OUTPUTS), verbose=False,
            )  # fmt: skip
    finally:
        logger.setLevel(level)
    assert program is not None
    common.ClearMetadataAndDocStringPass()(program.model)  # stack traces with local paths
    common.RemoveUnusedNodesPass()(program.model)
    program.model.metadata_props[ABOUT] = about
    data: bytes = program.model_proto.SerializeToString()
    return data


def _load_onnx(path: Path) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]

    def run(*arguments: Tensor) -> tuple[Tensor, Tensor]:
        given = {name: x.numpy() for name, x in zip(names, arguments, strict=True)}
        values, lengths = session.run(list(OUTPUTS), given)
        return torch.from_numpy(values), torch.from_numpy(lengths)

    return run


FORMATS: dict[str, tuple[Callable[[Portable, str], bytes], Callable[[Path], Runner]]] = {
    "torchscript": (_write_torchscript, _load_torchscript),
    "onnx": (_write_onnx, _load_onnx),
}
