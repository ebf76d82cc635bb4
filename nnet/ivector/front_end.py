"""The frames that i-vectors are made of: mean, splicing, PCA.

Two streams of frames, as in Kaldi's `train_ivector_extractor.sh`: posteriors are computed from
features with their causal mean subtracted (utils/data/means.py), and the statistics are sums of
features as they are, since the mean of a voice and its channel is much of what an i-vector has to
say. Both are spliced with 3 frames either side, edge frames repeated, and reduced by PCA that makes
every variance 1. (Kaldi's recipes take LDA and MLLT of a GMM system instead, or this PCA, by
`get_pca_transform.sh`, where there is none.) "As they are" means less the training set's mean,
the same for everybody, to keep the numbers small.

Where we depart from Kaldi: the causal mean is of all frames so far and `prior_frames` of the
training set, not of a window of 6 s; frames of digital silence are in no statistics, as they are in
no mean, so that an utterance of nothing else has the i-vector 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from chainstitch.utils.data import means
from chainstitch.utils.data.means import Features
from chainstitch.utils.errors import UserError

Utterances = Sequence[tuple[str, Features]]  # (name, raw features (frames, dim))


class Stream(NamedTuple):
    """An utterance's voiced frames.

    Attributes:
        normalised, plain: (n, F), for posteriors and for statistics.
        times: (n,) their numbers among all input frames.
    """

    normalised: Tensor
    plain: Tensor
    times: Tensor


class FrontEnd:
    """What is done to raw features, in float64.

    Args:
        mean: (dim,) of the training set.
        silence: (dim,) the features of digital silence.
        transform: (F, (2 context + 1) dim).
        context: frames either side.
        prior_frames: how many the training set's mean counts for in the causal one.
    """

    def __init__(
        self, mean: Tensor, silence: Tensor, transform: Tensor, context: int, prior_frames: float
    ) -> None:
        wanted = (2 * context + 1) * len(mean)
        if transform.shape[1] != wanted or silence.shape != mean.shape:
            raise ValueError(
                f"front end: transform {tuple(transform.shape)}, wanted (F, {wanted}); silence "
                f"{tuple(silence.shape)}, wanted {tuple(mean.shape)}"
            )
        self.mean, self.silence, self.transform = mean.double(), silence, transform.double()
        self.context, self.prior_frames = int(context), float(prior_frames)

    def spliced(
        self, raw: Features, name: str, total: Any = 0.0, count: float = 0.0
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(n, (2 context + 1) dim) voiced frames with and without the causal mean, and their times.

        Args:
            raw: (frames, dim), as FeatureReader.load_raw gives them.
            name: of the utterance, for errors.
            total, count: sums over the speaker's earlier utterances, of `means.sums`.

        Raises:
            UserError: no frames, another dimension, or features that are not finite.
        """
        if raw.ndim != 2 or not len(raw) or raw.shape[1] != len(self.mean):
            raise UserError(
                f"utterance {name}: features {raw.shape}, wanted (1 or more, {len(self.mean)})"
            )
        bad = int(np.sum(~np.isfinite(raw)))
        if bad:
            raise UserError(
                f"utterance {name}: {bad} features are not finite; extract its features again"
            )
        silence = self.silence.numpy()
        causal = means.subtract_causal(
            raw, silence, self.mean.numpy(), self.prior_frames, total, count
        )
        times = torch.from_numpy(means.voiced(raw, silence)).nonzero()[:, 0]
        around = times[:, None] + torch.arange(-self.context, self.context + 1)
        around = around.clamp(0, len(raw) - 1)
        plain = torch.from_numpy(raw).double() - self.mean
        normalised = torch.from_numpy(causal).double()
        return normalised[around].flatten(1), plain[around].flatten(1), times

    def streams(self, utterances: Utterances) -> Iterator[Stream]:
        """The streams of ONE speaker's utterances (name, raw features), in their order."""
        total, count = self.mean.numpy() * 0.0, 0.0
        for name, raw in utterances:
            normalised, plain, times = self.spliced(raw, name, total, count)
            yield Stream(normalised @ self.transform.T, plain @ self.transform.T, times)
            own, frames = means.sums(raw, self.silence.numpy())
            total, count = total + own, count + frames

    def state_dict(self) -> dict[str, Any]:
        """What the constructor takes."""
        return {
            "mean": self.mean, "silence": self.silence, "transform": self.transform,
            "context": self.context, "prior_frames": self.prior_frames,
        }  # fmt: skip


def estimate_pca(spliced: Callable[[], Iterator[Tensor]], dim: int) -> Tensor:
    """(dim, input dim) PCA of frames, the largest variances, each made 1.

    Args:
        spliced: gives the frames, (n, input dim) at a time.

    Raises:
        UserError: fewer features vary than `dim`.
    """
    count, total, moment = 0, torch.zeros(()).double(), torch.zeros(()).double()
    for x in spliced():
        count, total, moment = count + len(x), total + x.sum(0), moment + x.T @ x
    if not count:
        raise UserError("all frames are digital silence; look at the audio")
    mean = total / count
    values, vectors = torch.linalg.eigh(moment / count - mean[:, None] * mean)
    values, vectors = values.flip(0), vectors.flip(1)
    varying = int((values > 1e-10 * values[0]).sum()) if values[0] > 0 else 0
    if varying < dim:
        raise UserError(
            f"the spliced features vary in {varying} directions, pca_dim = {dim}; set pca_dim = "
            f"{varying} or less"
        )
    vectors = vectors[:, :dim].T
    # a direction has no sign: the largest entry is made positive
    sign = vectors.gather(1, vectors.abs().argmax(1, keepdim=True)).sign()
    transform: Tensor = sign * vectors / values[:dim, None].sqrt()
    return transform
