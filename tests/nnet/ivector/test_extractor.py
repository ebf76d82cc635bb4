"""The extractor: EM raises its objective, finds a planted subspace, and equals its dull twin."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from chainstitch.nnet.ivector import extractor as module
from chainstitch.nnet.ivector.extractor import IvectorExtractor, Statistics, accumulate
from chainstitch.nnet.ivector.ubm import DiagonalUbm
from tests.reference import ivector as reference

N, F, D = 4, 6, 3


def planted(
    utterances: int, frames: int = 400, seed: int = 0
) -> tuple[Statistics, IvectorExtractor, torch.Tensor]:
    """Statistics of utterances drawn from an extractor of dim D, it, and their i-vectors."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=g)

    T = normal(N, F, D)
    T[:, :, 0] = 4 * normal(N, F) / 10
    truth = IvectorExtractor(T, 0.3 + normal(N, F) ** 2, 10.0)
    x = normal(utterances, D)
    x[:, 0] += 10
    which = torch.randint(N, (utterances, frames), generator=g)
    y = (truth.T[which] @ x[:, None, :, None])[..., 0]
    y = y + normal(*y.shape) * truth.variances[which].sqrt()
    segment = torch.arange(utterances)[:, None].expand(-1, frames)
    weight = torch.ones(utterances * frames, 1, dtype=torch.float64)
    found = accumulate(
        which.reshape(-1, 1), weight, y.reshape(-1, F), segment.reshape(-1), utterances, N
    )
    return found, truth, x


def one_by_one(statistics: Statistics) -> list[tuple[np.ndarray, ...]]:
    """For the twin: (gamma, f) per utterance, and all of S with the first."""
    zero = np.zeros((N, F))
    return [
        (gamma.numpy(), first.numpy(), statistics.second.numpy() if n == 0 else zero)
        for n, (gamma, first) in enumerate(zip(statistics.gamma, statistics.first, strict=True))
    ]


def start(dim: int = D, seed: int = 0) -> IvectorExtractor:
    """From a UBM that knows nothing but the number of Gaussians."""
    g = torch.Generator().manual_seed(9)
    means = torch.randn(N, F, dtype=torch.float64, generator=g)
    return IvectorExtractor.initial(
        DiagonalUbm(torch.full((N,), 1 / N), means, torch.ones(N, F)), dim, seed
    )


def objectives(extractor: IvectorExtractor, batches: Sequence[Statistics], n: int) -> list[float]:
    seen = []
    for _ in range(n):
        extractor, done = extractor.em_step(batches)
        assert done.floored == done.kept == 0
        seen.append(done.objective)
    return seen


@pytest.mark.parametrize("dim", [1, 3, 8])
@pytest.mark.parametrize("utterances", [5, 60])
def test_em_raises_the_objective_at_every_iteration(dim: int, utterances: int) -> None:
    statistics, _, _ = planted(utterances)
    seen = objectives(start(dim), [statistics], 20)
    assert all(b >= a - 1e-9 for a, b in zip(seen, seen[1:], strict=False))
    assert seen[-1] > seen[0] + 0.1


def test_planted_subspace_and_variances_are_recovered() -> None:
    statistics, truth, x = planted(400)
    extractor = start()
    for _ in range(60):
        extractor, done = extractor.em_step([statistics])

    def basis(extractor: IvectorExtractor) -> torch.Tensor:
        return torch.linalg.qr((extractor.T / truth.variances.sqrt()[:, :, None]).flatten(0, 1))[0]

    cosines = torch.linalg.svdvals(basis(extractor).T @ basis(truth))  # of the principal angles
    assert float(cosines.min()) > 0.999
    assert torch.allclose(extractor.variances, truth.variances, rtol=0.05)
    _, best = truth.em_step([statistics])
    assert done.objective > best.objective - 1e-3
    # what is said of an utterance differs from the truth by a linear map at most
    found = extractor.estimate(statistics.gamma, extractor.project(statistics.first))
    design = torch.cat([found, torch.ones(400, 1, dtype=torch.float64)], 1)
    residual = x - design @ torch.linalg.lstsq(design, x).solution
    assert float(residual.var() / x.var(0).mean()) < 0.02


@pytest.mark.parametrize("max_count", [0.0, 30.0, 1e6])
def test_estimates_equal_the_twin(max_count: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    statistics, truth, _ = planted(11, 50)
    found = truth.estimate(statistics.gamma, truth.project(statistics.first), max_count)
    for row, (gamma, f, _) in zip(found, one_by_one(statistics), strict=True):
        wanted, _ = reference.posterior_of_x(
            truth.T.numpy(), truth.variances.numpy(), 10.0, gamma, f, max_count
        )
        wanted[0] -= 10.0
        np.testing.assert_allclose(row.numpy(), wanted, atol=1e-9)


def test_em_step_and_objective_equal_the_twin() -> None:
    statistics, _, _ = planted(15, 60)
    each, extractor = one_by_one(statistics), start()
    half = [Statistics(statistics.gamma[a:b], statistics.first[a:b], statistics.second / 2)
            for a, b in ((0, 6), (6, 15))]  # fmt: skip
    for _ in range(4):
        T, variances = extractor.T.numpy(), extractor.variances.numpy()
        offset = extractor.prior_offset
        value = sum(
            reference.log_marginal(
                T, variances, offset, gamma, f, f**2 / np.fmax(gamma, 1)[:, None]
            )
            for gamma, f, _ in each
        )
        scatter = statistics.second.numpy() - sum(f**2 / g[:, None] for g, f, _ in each)
        value -= 0.5 * (scatter / variances).sum()
        wanted, wanted_variances, z = reference.em_step(
            T, variances, offset, each, module.VARIANCE_FLOOR
        )
        extractor, done = extractor.em_step(half)
        assert done.objective == pytest.approx(value / (15 * 60), abs=1e-9)
        np.testing.assert_allclose(extractor.variances.numpy(), wanted_variances, atol=1e-9)
        # the same but for the choice of axes: means of all Gaussians, and T T'
        assert extractor.prior_offset == pytest.approx(np.linalg.norm(z), rel=1e-9)
        np.testing.assert_allclose(
            extractor.T[:, :, 0].numpy() * extractor.prior_offset, wanted @ z, atol=1e-7
        )
        both = (m.reshape(N * F, D) for m in (extractor.T.numpy(), wanted))
        ours, theirs = (m @ m.T for m in both)
        np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_nothing_heard_gives_the_prior() -> None:
    _, truth, _ = planted(2)
    nothing = truth.estimate(torch.zeros(2, N).double(), torch.zeros(2, D).double(), 100.0)
    assert torch.equal(nothing, torch.zeros(2, D).double())
    assert truth.estimate(torch.zeros(0, N).double(), torch.zeros(0, D).double()).shape == (0, D)


def test_max_count_weakens_what_exceeds_it() -> None:
    statistics, truth, _ = planted(3, 400)
    projected = truth.project(statistics.first)
    bound = truth.estimate(statistics.gamma, projected, 40.0)
    scaled = truth.estimate(statistics.gamma / 10, projected / 10)
    assert torch.allclose(bound, scaled, atol=1e-9)


def test_gaussian_with_too_small_a_count_is_kept() -> None:
    statistics, truth, _ = planted(20)
    statistics.gamma[:, 2] = 0.01
    statistics.first[:, 2] = 0
    statistics.second[2] = 0
    changed, done = truth.em_step([statistics])
    assert done.kept == 1 and done.floored == 0
    assert torch.equal(changed.variances[2], truth.variances[2])


def test_no_utterances_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one utterance"):
        start().em_step([])
