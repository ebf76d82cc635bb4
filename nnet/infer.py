"""Loading a trained model and running it over features.

A network trained by LF-MMI puts out what a decoder wants. One trained by cross-entropy puts out
pdfs given the frame; by Bayes' rule the frame given the pdf is, but for what all pdfs share,

    log p(frame | pdf) = log softmax(y)(pdf) - log p(pdf)

with p(pdf) counted in training; and as successive frames are far from independent, it is scaled
down against the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet import checkpoint
from chainstitch.nnet.material import Inputs
from chainstitch.nnet.nets.network import Network
from chainstitch.utils import config as configs
from chainstitch.utils.data.features import CONFIG, FeatureConfig, FeatureReader, subtract_mean
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.data.waveform import read_features
from chainstitch.utils.errors import UserError

BATCH = 32


class ScaledLikelihoods(nn.Module):
    """The formula above, called as the network is."""

    def __init__(self, network: Network, log_prior: Tensor, scale: float) -> None:
        super().__init__()
        self.network, self.scale = network, scale
        self.num_outputs, self.subsampling = network.num_outputs, network.subsampling
        self.ivector_dim = network.ivector_dim
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
    """The model of an experiment directory (`network.xconfig`, `final.pt`), in evaluation mode.

    Raises:
        UserError: a file is missing or damaged, or they do not belong together.
    """
    exp = Path(exp)
    try:
        xconfig = (exp / "network.xconfig").read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{exp} has no network.xconfig; give a directory that `train` wrote"
        ) from None
    if not (exp / name).is_file():
        raise UserError(f"{exp} has no {name}; finish training and run `chainstitch combine {exp}`")
    state = checkpoint.load(exp / name, device, ("model", "num_outputs", "subsampling"))
    try:
        network = Network(xconfig, int(state["num_outputs"]), int(state["subsampling"]))
        network.load_state_dict(state["model"])
    except (KeyError, RuntimeError) as error:
        raise UserError(f"{exp / name} does not fit {exp / 'network.xconfig'}: {error}") from None
    network.ivector_extractor = str(state.get("ivector_extractor", ""))
    model: Model = network
    if "log_prior" in state:
        model = ScaledLikelihoods(network, state["log_prior"], float(state["acoustic_scale"]))
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


def feature_settings(exp: Path) -> tuple[FeatureConfig, np.ndarray | None]:
    """What makes a model's features of samples: the settings, and what a causal mean starts from.

    Raises:
        UserError: no settings; or those of a causal mean, and the training data are gone.
    """
    settings = configs.load(exp / CONFIG, FeatureConfig)
    if settings.mean != "causal":
        return settings, None
    return settings, FeatureReader(configs.load(exp / "inputs.toml", Inputs).data).global_mean


def wav_features(
    exp: Path, wavs: Sequence[Path], one_speaker: bool = False
) -> Iterator[list[np.ndarray]]:
    """Features (frames, dim) of audio files as a model wants them, speaker by speaker, in order.

    Args:
        exp: the experiment directory, for the settings.
        one_speaker: all files are one speaker, whose mean is subtracted; else each is its own.

    Raises:
        UserError: a file is missing or cannot be read; all are read before the first is given.
    """
    settings, prior = feature_settings(exp)
    raw = [read_features(wav, settings) for wav in wavs]
    for members in [raw] if one_speaker else [[features] for features in raw]:
        yield subtract_mean(members, settings, prior)


def log_likes(
    model: Model, features: Sequence[np.ndarray], ivectors: Sequence[np.ndarray] | None = None
) -> list[np.ndarray]:
    """float32 log-likelihoods (ceil(frames / subsampling), pdfs) per (frames, dim) array.

    Args:
        ivectors: (ivector_dim,) of each, for a model that takes any.

    Raises:
        UserError: it takes i-vectors, and there are none.
    """
    return list(iterate_log_likes(model, features, ivectors))


@torch.no_grad()
def iterate_log_likes(
    model: Model, features: Sequence[np.ndarray], ivectors: Sequence[np.ndarray] | None = None
) -> Iterator[np.ndarray]:
    """`log_likes`, a batch at a time."""
    if model.ivector_dim and ivectors is None:
        raise UserError(
            f"the model takes i-vectors of {model.ivector_dim} numbers, which this command has "
            "not; use `chainstitch decode`, which reads those of `chainstitch ivectors extract`"
        )
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
