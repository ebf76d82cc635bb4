"""Mean subtraction against a naive loop, and what the causal form may not know."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.utils.data import means

DIM = 5
SILENCE = np.array([-100.0, 0, 0, 0, 0], dtype=np.float32)


def utterances(seed: int = 0, lengths: tuple[int, ...] = (7, 1, 12)) -> list[means.Features]:
    generator = np.random.default_rng(seed)
    out = [generator.normal(3.0, 2.0, (n, DIM)).astype(np.float32) for n in lengths]
    out[0][2:4] = SILENCE
    return out


def naive_causal(
    xs: list[means.Features], prior: means.Array, prior_frames: float
) -> list[list[means.Array]]:
    """The formula of means.py with its sums written out, from the start for each frame."""
    history: list[means.Array] = []
    result = []
    for x in xs:
        rows = []
        for row in x:
            if not np.allclose(row, SILENCE):
                history.append(row.astype(np.float64))
            mean = (prior_frames * prior + sum(history, np.zeros(DIM))) / (
                prior_frames + len(history)
            )
            rows.append(row - mean)
        result.append(rows)
    return result


@pytest.mark.parametrize("prior_frames", [0.5, 30.0])
def test_causal_mean_equals_the_naive_loop(prior_frames: float) -> None:
    xs, prior = utterances(), np.arange(DIM, dtype=np.float64)
    got = means.normalise(xs, "causal", SILENCE, prior, prior_frames)
    for ours, naive in zip(got, naive_causal(xs, prior, prior_frames), strict=True):
        np.testing.assert_allclose(ours, np.array(naive), rtol=1e-6, atol=1e-6)


def test_causal_mean_never_looks_ahead() -> None:
    prior = np.ones(DIM)
    xs = utterances()
    before = means.normalise(xs, "causal", SILENCE, prior, 10.0)
    changed = [x.copy() for x in xs]
    changed[2][5:] = 99.0
    after = means.normalise(changed, "causal", SILENCE, prior, 10.0)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    np.testing.assert_array_equal(before[2][:5], after[2][:5])
    alone = means.normalise(xs[:1], "causal", SILENCE, prior, 10.0)
    np.testing.assert_array_equal(before[0], alone[0])


@pytest.mark.parametrize("kind", ["speaker", "utterance"])
def test_mean_of_what_is_not_silence_becomes_zero(kind: str) -> None:
    xs = utterances()
    out = means.normalise(xs, kind, SILENCE)
    weights = [means.voiced(x, SILENCE) for x in xs]
    totals = [w @ y for w, y in zip(weights, out, strict=True)]
    if kind == "speaker":
        totals = [np.sum(totals, axis=0)]
    np.testing.assert_allclose(totals, 0.0, atol=1e-4)


def test_padding_with_digital_silence_changes_no_mean() -> None:
    xs = utterances(lengths=(9,))
    padded = [np.concatenate([xs[0], np.tile(SILENCE, (50, 1))])]
    for kind in ("speaker", "utterance"):
        plain = means.normalise(xs, kind, SILENCE)[0]
        np.testing.assert_array_equal(means.normalise(padded, kind, SILENCE)[0][:9], plain)


def test_nothing_but_silence_stays_finite() -> None:
    silent = [np.tile(SILENCE, (4, 1))]
    for kind in means.KINDS:
        out = means.normalise(silent, kind, SILENCE, np.zeros(DIM), 1.0)[0]
        assert np.isfinite(out).all()
    np.testing.assert_array_equal(means.normalise(silent, "utterance", SILENCE)[0], 0.0)


def test_none_changes_nothing_and_unknown_kinds_are_refused() -> None:
    xs = utterances()
    for x, y in zip(xs, means.normalise(xs, "none", SILENCE), strict=True):
        np.testing.assert_array_equal(x, y)
    with pytest.raises(ValueError, match="'mean' is not one of speaker"):
        means.normalise(xs, "mean", SILENCE)
    with pytest.raises(ValueError, match="wants a prior"):
        means.normalise(xs, "causal", SILENCE)
