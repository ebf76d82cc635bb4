"""Whether an exported file computes what the model does: the same features through both.

Compared are all outputs of `infer.log_likes`, once with all utterances in one ragged batch, once
with each alone. Padding is NaN there, so that a look at it shows. Beside whole utterances stand
beginnings of one, of a few frames, where all that a network reads is beyond the ends.

The two compute the same in another order, in float32, so that they differ by rounding. Allowed is

    largest |exported - eager|  <=  tolerance max(1, largest |eager|)

tolerance 1e-4: with log-likelihoods up to 20 nats that is 0.002, where a beam is 8 to 15 wide;
rounding has been seen to come to a hundredth of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet import infer
from chainstitch.utils.data.features import FeatureReader, extract, subtract_mean
from chainstitch.utils.errors import UserError

TOLERANCE = 1e-4
NUM_UTTERANCES = 8
BEGINNINGS = (1, 2, 4, 7)  # frames
LONGEST_NOISE = 4.0  # seconds

Runner = Callable[..., tuple[Tensor, Tensor]]  # features, lengths[, ivectors] -> as in export.py


@dataclass(frozen=True)
class Trial:
    """Feature matrices (frames, dim), an i-vector of each if the model wants one; what they are."""

    features: list[np.ndarray]
    ivectors: list[np.ndarray] | None
    said: str


@dataclass(frozen=True)
class Found:
    """The largest difference, and the one that was allowed."""

    difference: float
    allowed: float


def trial(exp: Path, model: infer.Model, data: Path | None) -> Trial:
    """Utterances of a feature directory, from its shortest to its longest; else features of noise.

    Noise is white, of random lengths up to four seconds, through the experiment's features.toml;
    with i-vectors from N(0, 1).

    Raises:
        UserError: the directory's features or i-vectors are not what the model was trained with.
    """
    ivectors = None
    if data is not None:
        reader = FeatureReader(data)
        infer.check_features(exp, model, reader)
        cuts = sorted(reader.cuts, key=lambda cut: cut.features.num_frames)
        places = np.linspace(0, len(cuts) - 1, min(len(cuts), NUM_UTTERANCES)).round().astype(int)
        cuts = [cuts[place] for place in places]
        features = [reader.load(cut) for cut in cuts]
        voices = infer.ivector_reader(model, data)
        if voices is not None:
            ivectors = [voices.load(cut.id) for cut in cuts]
        said = f"{len(cuts)} utterances of {data}"
    else:
        features = _noise(exp, model)
        if model.ivector_dim:
            generator = np.random.default_rng(1)
            shape = (len(features), model.ivector_dim)
            ivectors = list(generator.standard_normal(shape, dtype=np.float32))
        said = f"features of noise, {len(features)} times"
    whole = features[-1]
    begun = [whole[:frames] for frames in BEGINNINGS if frames < len(whole)]
    features = features + begun
    if ivectors is not None:
        ivectors = ivectors + [ivectors[-1]] * len(begun)
    lengths = [len(matrix) for matrix in features]
    said += f", and {len(begun)} beginnings, {min(lengths)} to {max(lengths)} frames"
    return Trial(features, ivectors, said)


def _noise(exp: Path, model: infer.Model) -> list[np.ndarray]:
    settings, prior = infer.feature_settings(exp, model)
    generator = np.random.default_rng(0)
    found = []
    for seconds in generator.uniform(0.05, LONGEST_NOISE, NUM_UTTERANCES):
        samples = generator.normal(0.0, 0.1, int(seconds * settings.sampling_rate)).clip(-1, 1)
        found += subtract_mean([extract(samples, settings)], settings, prior)
    return found


@torch.no_grad()
def check(model: infer.Model, run: Runner, utterances: Trial, tolerance: float) -> Found:
    """Compares, see the module's text.

    Raises:
        UserError: shapes or lengths are not the model's, or values differ by more than is allowed.
    """
    eager = infer.log_likes(model, utterances.features, utterances.ivectors)
    if not all(np.isfinite(values).all() for values in eager):
        raise UserError("the model itself gives values that are not finite; train it again")
    allowed = tolerance * max(1.0, *(float(np.abs(values).max()) for values in eager))
    everything = list(range(len(eager)))
    largest = 0.0
    for group in [everything, *([n] for n in everything)]:
        lengths = torch.tensor([len(utterances.features[n]) for n in group])
        matrices = [torch.from_numpy(utterances.features[n]) for n in group]
        padded = torch.nn.utils.rnn.pad_sequence(matrices, True, float("nan"))
        arguments = [padded, lengths]
        if utterances.ivectors is not None:
            arguments.append(torch.from_numpy(np.stack([utterances.ivectors[n] for n in group])))
        values, out_lengths = run(*arguments)
        wanted = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(eager[n]) for n in group], True)
        counts = [len(eager[n]) for n in group]
        if values.shape != wanted.shape or out_lengths.tolist() != counts:
            raise UserError(
                f"the exported file gives {tuple(values.shape)} with lengths "
                f"{out_lengths.tolist()}, the model {tuple(wanted.shape)} with {counts}; nothing "
                "was written"
            )
        difference = float((values - wanted).abs().max())
        largest = max(largest, float("inf") if difference != difference else difference)
    if not largest <= allowed:
        raise UserError(
            f"the exported file differs from the model by {largest:.2g}, allowed is {allowed:.2g} "
            f"({utterances.said}); nothing was written"
        )
    return Found(largest, allowed)
