"""The mixture of Gaussians: EM never falls, equals its dull twin, and finds what was planted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from chainstitch.nnet.ivector import ubm as module
from chainstitch.nnet.ivector.ubm import DiagonalUbm, choose_means, train_ubm
from chainstitch.utils.errors import UserError
from tests.reference import ivector as reference


def planted(frames: int = 900, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames of three Gaussians in 4 dimensions, far apart, and their means."""
    generator = torch.Generator().manual_seed(seed)
    means = 3.0 * torch.randn(3, 4, dtype=torch.float64, generator=generator)
    which = torch.arange(frames) % 3
    noise = torch.randn(frames, 4, dtype=torch.float64, generator=generator)
    return means[which] + noise * (0.5 + which[:, None]), means


@pytest.mark.parametrize("num_gauss", [1, 3, 20])
def test_em_never_lowers_the_likelihood(num_gauss: int) -> None:
    frames, _ = planted()
    seen: list[float] = []
    train_ubm(frames, num_gauss, 25, 1, lambda _, value: seen.append(value))
    assert len(seen) == 25
    assert all(b >= a - 1e-10 for a, b in zip(seen, seen[1:], strict=False))
    if num_gauss > 1:
        assert seen[-1] > seen[0] + 0.05


def test_planted_gaussians_are_found() -> None:
    frames, means = planted(6000)
    ubm = train_ubm(frames, 3, 20, 3)
    nearest = torch.cdist(means, ubm.means).argmin(1)
    assert sorted(nearest.tolist()) == [0, 1, 2]
    assert torch.allclose(ubm.means[nearest], means, atol=0.25)
    spread = ubm.variances[nearest].sqrt().mean(1)
    assert torch.allclose(spread, torch.tensor([0.5, 1.5, 2.5]).double(), rtol=0.1)
    assert torch.allclose(ubm.weights, torch.full((3,), 1 / 3).double(), atol=0.02)


def test_same_seed_same_model_and_another_seed_another() -> None:
    frames, _ = planted()
    one, same, other = (train_ubm(frames, 5, 3, seed) for seed in (4, 4, 5))
    assert torch.equal(one.means, same.means) and torch.equal(one.variances, same.variances)
    assert not torch.equal(one.means, other.means)


def test_step_and_posteriors_equal_the_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 37)
    frames, _ = planted(300)
    ubm = train_ubm(frames, 6, 1, 2)
    floor = module.VARIANCE_FLOOR * frames.numpy().var(0)
    for _ in range(5):
        weights, means, variances, value = reference.gmm_step(
            frames.numpy(), ubm.weights.numpy(), ubm.means.numpy(), ubm.variances.numpy(), floor
        )
        ubm, likelihood, _ = ubm.em_step(frames)
        assert likelihood == pytest.approx(value, abs=1e-9)
        if float(weights.min()) * 300 < module.MIN_COUNT:
            break
        np.testing.assert_allclose(ubm.weights.numpy(), weights, atol=1e-10)
        np.testing.assert_allclose(ubm.means.numpy(), means, atol=1e-8)
        np.testing.assert_allclose(ubm.variances.numpy(), variances, atol=1e-7)
    for top, min_post in ((1, 0.0), (3, 0.1), (99, 0.025)):
        which, r = ubm.posteriors(frames, top, min_post)
        dense = torch.zeros(300, 6, dtype=torch.float64).scatter_(1, which, r)
        wanted = reference.posteriors(
            frames.numpy(), ubm.weights.numpy(), ubm.means.numpy(), ubm.variances.numpy(),
            top, min_post,
        )  # fmt: skip
        np.testing.assert_allclose(dense.numpy(), wanted, atol=1e-10)


def test_gaussian_without_frames_keeps_its_place() -> None:
    frames, _ = planted()
    far = torch.full((4,), 1e4, dtype=torch.float64)
    ubm = DiagonalUbm(
        torch.tensor([0.5, 0.5]), torch.stack([frames.mean(0), far]), torch.ones(2, 4)
    )
    for _ in range(3):
        ubm, likelihood, _ = ubm.em_step(frames)
        assert np.isfinite(likelihood)
    assert torch.equal(ubm.means[1], far) and float(ubm.weights[1]) == 0
    which, r = ubm.posteriors(frames, 5, 0.025)
    assert bool((which[:, 0] == 0).all()) and torch.equal(r[:, 0], torch.ones(900).double())


def test_variances_are_floored_on_repeated_frames() -> None:
    frames = torch.cat([planted(300)[0], torch.full((300, 4), 2.0, dtype=torch.float64)])
    ubm = train_ubm(frames, 4, 10)
    assert bool(
        (ubm.variances >= 0.999 * module.VARIANCE_FLOOR * frames.var(0, correction=0)).all()
    )


def test_too_few_or_constant_frames_are_refused() -> None:
    frames, _ = planted()
    with pytest.raises(UserError, match="29 frames are too few for 3 Gaussians.*num_gauss"):
        train_ubm(frames[:29], 3, 1)
    frames[:, 2] = 1.0
    with pytest.raises(UserError, match="1 of the 4 features are the same"):
        train_ubm(frames, 3, 1)


def test_choice_of_means_copes_with_few_different_frames() -> None:
    frames = torch.eye(2, dtype=torch.float64).repeat(20, 1)
    assert choose_means(frames, 5, 0).shape == (5, 2)
