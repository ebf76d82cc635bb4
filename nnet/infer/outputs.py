"""Loading a trained model and running it over features.

A network trained by LF-MMI puts out what a decoder wants. One trained by cross-entropy puts out
pdfs given the frame; by Bayes' rule the frame given the pdf is, but for what all pdfs share,

    log p(frame | pdf) = log softmax(y)(pdf) - log p(pdf)

with p(pdf) counted in training; and as successive frames are far from independent, it is scaled
down against the graph.

An utterance goes through the network whole, or in chunks, as Kaldi does it, each with so many frames
before and behind it. A network with a memory (an LSTM) was trained on chunks, and may have learnt
to rely on beginning shortly before. What its layers splice is real everywhere in the chunk: a
network without a memory puts out the same both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.tasks import run
from chainstitch.utils import config as configs
from chainstitch.utils.data.features import (
    CONFIG,
    FeatureConfig,
    FeatureReader,
    check_same_features,
    subtract_mean,
)
from chainstitch.utils.data.ivectors import MODEL, IvectorReader, digest
from chainstitch.utils.data.waveform import read_features
from chainstitch.utils.errors import UserError

BATCH = 32


class ScaledLikelihoods(nn.Module):
    """The formula above, called as the network is."""

    def __init__(self, network: Network, log_prior: Tensor, scale: float) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        self.num_outputs, self.subsampling = network.num_outputs, network.subsampling
        self.input_dim, self.ivector_dim = network.input_dim, network.ivector_dim
        self.ivector_extractor = network.ivector_extractor
        self.log_prior: Tensor
        self.register_buffer("log_prior", log_prior)

    def forward(
        self, features: Tensor, lengths: Tensor, shift: int = 0, ivectors: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        outputs, out_lengths = self.network(features, lengths, shift, ivectors)
        return self.scale * (outputs.log_softmax(2) - self.log_prior), out_lengths


Model = Network | ScaledLikelihoods


def load_model(exp: Path | str, device: str = "cpu", name: str = "final.pt") -> Model:
    """The model of an experiment directory, in evaluation mode.

    Raises:
        UserError: a file is missing or damaged, or they do not belong together.
    """
    opened, _, facts = run.load(Path(exp), "speech", device, name)
    network: Any = opened
    model: Model = network
    if "log_prior" in facts:
        found = tuple(facts["log_prior"].shape)
        if found != (network.num_outputs,) or "acoustic_scale" not in facts:
            raise UserError(
                f"{Path(exp) / name}: its log_prior is {found}, wanted one number for each of the "
                f"{network.num_outputs} outputs, and an acoustic_scale; run `chainstitch combine "
                f"{exp}` again"
            )
        model = ScaledLikelihoods(network, facts["log_prior"], float(facts["acoustic_scale"]))
    return model.to(device).eval()


def ivector_reader(model: Model, directory: Path | str) -> IvectorReader | None:
    """The i-vectors of a feature directory; None for a model that takes none.

    Raises:
        UsageError: there are none.
        UserError: they are damaged, or not of the extractor that the model was trained with.
    """
    if not model.ivector_dim:
        return None
    reader = IvectorReader(directory)
    if reader.extractor != model.ivector_extractor or reader.dim != model.ivector_dim:
        raise UserError(
            f"{reader.path} is not of the extractor that the model was trained with; run "
            "`chainstitch ivectors extract` with that one"
        )
    return reader


def check_features(exp: Path, model: Model, reader: FeatureReader) -> None:
    """That a feature directory has what the model in `exp` was trained on, but for its mean.

    Raises:
        UsageError: it was made with other settings; names the first.
        UserError: they are not those that the network takes.
    """
    remedy = f"make the features with the settings of {exp / CONFIG}"
    if (exp / CONFIG).is_file():
        settings = configs.load(exp / CONFIG, FeatureConfig)
        _check_dim(settings, exp / CONFIG, exp, model)
        check_same_features(settings, exp, reader, remedy)
    _check_dim(reader.config, reader.directory / CONFIG, exp, model)


def _check_dim(settings: FeatureConfig, where: Path, exp: Path, model: Model) -> None:
    if settings.num_ceps != model.input_dim:
        raise UserError(
            f"{where} has num_ceps = {settings.num_ceps}, the network in {exp} takes "
            f"{model.input_dim} features a frame; put back the file that belongs there, or make "
            "the features again"
        )


def feature_settings(exp: Path, model: Model) -> tuple[FeatureConfig, np.ndarray | None]:
    """What makes a model's features of samples: the settings, and what a causal mean starts from.

    Raises:
        UserError: no settings, or not those of `model`; or those of a causal mean, and the training
            data are gone.
    """
    settings = configs.load(exp / CONFIG, FeatureConfig)
    _check_dim(settings, exp / CONFIG, exp, model)
    if settings.mean != "causal":
        return settings, None
    return settings, FeatureReader(run.inputs_of(exp).data).global_mean


def load_extractor(exp: Path, model: Model) -> IvectorModel | None:
    """What makes the i-vectors of the model in `exp`, which `train` put there; None: it takes none.

    Raises:
        UserError: it is missing, damaged or not the one that the model was trained with.
    """
    if not model.ivector_dim:
        return None
    path = exp / MODEL
    if not path.is_file() or digest(path.read_bytes()) != model.ivector_extractor:
        found = "is not the" if path.is_file() else "is missing, the"
        raise UserError(
            f"{path} {found} extractor of the i-vectors that the model was trained on; copy that "
            f"one, the {MODEL} of `chainstitch ivectors train`, to this place"
        )
    extractor = IvectorModel.load(exp)
    dims = extractor.extractor.dim, len(extractor.front.mean)
    if dims != (model.ivector_dim, model.input_dim):
        raise UserError(
            f"{path} makes i-vectors of {dims[0]} dimensions from {dims[1]} features, the "
            f"network takes {model.ivector_dim} and {model.input_dim}; copy the one that it was "
            "trained with"
        )
    return extractor


def wav_inputs(
    exp: Path, model: Model, wavs: Sequence[Path], one_speaker: bool = False
) -> Iterator[tuple[list[np.ndarray], list[np.ndarray] | None]]:
    """What a model takes of audio files, speaker by speaker, in order.

    I-vectors are the last online estimate of each file: what `chainstitch decode` takes from a set
    with those of `ivectors extract --online`.

    Args:
        exp: the experiment directory of `model`, for the settings and the i-vector extractor.
        one_speaker: all files are one speaker, whose mean is subtracted, and whose i-vector in each
            file also knows the files before; else each is its own.

    Returns:
        features (frames, dim) of a speaker's files, and i-vectors (ivector_dim,) if it takes any.

    Raises:
        UserError: a file is missing or cannot be read; all are read before the first is given. Or
            from `load_extractor`.
    """
    extractor = load_extractor(exp, model)
    settings, prior = feature_settings(exp, model)
    raw = [(str(wav), read_features(wav, settings)) for wav in wavs]
    for speaker in [raw] if one_speaker else [[each] for each in raw]:
        voices = None if extractor is None else [x[-1] for x in extractor.online(speaker)]
        yield subtract_mean([features for _, features in speaker], settings, prior), voices


@dataclass(frozen=True)
class Pieces:
    """How utterances are cut: input frames of a chunk (0: not at all), before and behind it.

    A chunk is rounded up to whole output frames, and what is before it, too.
    """

    chunk: int = 0
    left: int = 0
    right: int = 0

    def of(self, frames: int, model: Model) -> list[tuple[int, int, int, int]]:
        """(begin, end, first output in there, outputs) of each piece of an utterance."""
        step = model.subsampling
        network = model.network if isinstance(model, ScaledLikelihoods) else model
        size = -(-self.chunk // step) * step or frames
        before = -(-max(self.left, network.left_context) // step) * step
        behind = max(self.right, network.right_context)
        found = []
        for first in range(0, frames, max(size, 1)):
            begin, end = max(0, first - before), min(frames, first + size + behind)
            outputs = -(-min(size, frames - first) // step)
            found.append((begin, end, (first - begin) // step, outputs))
        return found


def log_likes(
    model: Model,
    features: Sequence[np.ndarray],
    ivectors: Sequence[np.ndarray] | None = None,
    pieces: Pieces = Pieces(),
) -> list[np.ndarray]:
    """float32 log-likelihoods (ceil(frames / subsampling), pdfs) per (frames, dim) array.

    Args:
        ivectors: (ivector_dim,) of each, for a model that takes any.
        pieces: how they are cut.
    """
    if not pieces.chunk:
        return list(iterate_log_likes(model, features, ivectors))
    cut = [pieces.of(len(array), model) for array in features]
    parts = [f[b:e] for f, places in zip(features, cut, strict=True) for b, e, _, _ in places]
    voices = None
    if ivectors is not None:
        voices = [v for v, places in zip(ivectors, cut, strict=True) for _ in places]
    outputs = iterate_log_likes(model, parts, voices)
    empty = np.zeros((0, model.num_outputs), np.float32)
    return [
        np.concatenate([empty, *(next(outputs)[at : at + n] for _, _, at, n in places)])
        for places in cut
    ]


@torch.no_grad()
def iterate_log_likes(
    model: Model, features: Sequence[np.ndarray], ivectors: Sequence[np.ndarray] | None = None
) -> Iterator[np.ndarray]:
    """`log_likes`, a batch at a time."""
    device = next(model.parameters()).device
    for begin in range(0, len(features), BATCH):
        arrays = [torch.from_numpy(np.asarray(f)) for f in features[begin : begin + BATCH]]
        lengths = torch.tensor([len(a) for a in arrays])
        padded = torch.nn.utils.rnn.pad_sequence(arrays, batch_first=True)
        voices = None
        if ivectors is not None:
            voices = torch.from_numpy(np.stack(ivectors[begin : begin + BATCH])).to(device)
        outputs, out_lengths = model(padded.to(device), lengths, 0, voices)
        for output, length in zip(outputs.cpu(), out_lengths.tolist(), strict=True):
            yield output[:length].numpy()
