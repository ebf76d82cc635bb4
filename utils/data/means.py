"""Cepstral mean subtraction: over a speaker, over an utterance, or causally.

Symbols: x_t (dim,) the features of frame t; w_t in {0, 1}, 0 for digital silence; "the
utterances" are those of one speaker in one set directory, in the order of their ids.
Speed-perturbed copies are speakers of their own (`sp0.9-<speaker>`).

    utterance:  y_t = x_t - sum_τ w_τ x_τ / sum_τ w_τ      over the frames τ of the utterance
    speaker:    the same, over the frames of all of the speaker's utterances in the set
    causal:     y_t = x_t - (P μ + S + sum_{τ<=t} w_τ x_τ) / (P + N + sum_{τ<=t} w_τ)

where S and N are the sums of w x and of w over the speaker's earlier utterances, μ is the prior
mean (of the training set) and P the number of frames it counts for. Causal output up to frame t
depends on nothing after t, but the speaker form uses all of the speaker's recordings, later ones
included: a result must say which one it is.

Digital silence (padding between joined recordings, muted stretches) is left out because it says
nothing about voice or channel and, at log-energies far below any recording's, would shift the
mean by however much of it a set happens to hold. Where there is nothing else (N = 0), an
utterance's own plain mean is subtracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32]

KINDS = ("speaker", "utterance", "causal", "none")
# Features of digital silence are one constant row, up to rounding; those of noise of half a bit in
# 16 are nowhere closer to it than 3.
SILENCE_TOLERANCE = 1e-2


def voiced(features: Features, silence: Features) -> Array:
    """w (frames,): 0.0 where a frame equals the features of digital silence, 1.0 elsewhere."""
    distance = np.abs(features - silence).max(axis=1, initial=0.0)
    return np.asarray(distance > SILENCE_TOLERANCE, dtype=np.float64)


def sums(features: Features, silence: Features) -> tuple[Array, float]:
    """(sum_t w_t x_t (dim,), sum_t w_t)."""
    w = voiced(features, silence)
    return w @ features.astype(np.float64), float(w.sum())


def subtract(features: Features, total: Array, count: float) -> Features:
    """Features minus the mean total/count (minus their own plain mean if count is 0), float32."""
    mean = total / count if count > 0 else features.mean(axis=0, dtype=np.float64)
    return np.asarray(features - mean, dtype=np.float32)


def subtract_causal(
    features: Features,
    silence: Features,
    prior: Array,
    prior_frames: float,
    total: Array | float = 0.0,
    count: float = 0.0,
) -> Features:
    """The causal form; `prior`, `prior_frames`, `total` and `count` are μ, P > 0, S and N."""
    w = voiced(features, silence)
    numerator = prior_frames * prior + total + np.cumsum(w[:, None] * features, axis=0)
    denominator = prior_frames + count + np.cumsum(w)
    return np.asarray(features - numerator / denominator[:, None], dtype=np.float32)


def normalise(
    utterances: Sequence[Features],
    kind: str,
    silence: Features,
    prior: Array | None = None,
    prior_frames: float = 0.0,
) -> list[Features]:
    """One speaker's utterances, in their order, with the mean of `kind` subtracted.

    Args:
        utterances: each (frames, dim), raw.
        silence: (dim,) the features of digital silence.
        prior, prior_frames: μ (dim,) and P of the causal form, needed for that one only.
    """
    if kind == "none" or not utterances:
        return [np.asarray(x, dtype=np.float32) for x in utterances]
    each = [sums(x, silence) for x in utterances]
    if kind == "utterance":
        return [subtract(x, *own) for x, own in zip(utterances, each, strict=True)]
    if kind == "speaker":
        total = np.sum([total for total, _ in each], axis=0)
        count = sum(count for _, count in each)
        return [subtract(x, total, count) for x in utterances]
    if kind != "causal":
        raise ValueError(f"mean {kind!r} is not one of {', '.join(KINDS)}")
    if prior is None or prior_frames <= 0:
        raise ValueError("the causal mean wants a prior mean and prior_frames > 0")
    output = []
    done, seen = np.zeros_like(prior), 0.0
    for x, (total, count) in zip(utterances, each, strict=True):
        output.append(subtract_causal(x, silence, prior, prior_frames, done, seen))
        done, seen = done + total, seen + count
    return output
