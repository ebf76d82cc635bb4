"""Semi-orthogonal layers: the step is the twin's, it converges, and it leaves the norm alone."""

from __future__ import annotations

import pytest
import torch

from chainstitch.nnet.layers import Linear
from chainstitch.nnet.layers.linear import semi_orthogonal_step
from tests.reference.semi_orthogonal import simple_step


def weight(rows: int, columns: int, spread: float) -> torch.Tensor:
    """Singular values from 1 to 1 + spread, times 0.3."""
    generator = torch.Generator().manual_seed(rows)
    m = torch.randn(rows, columns, generator=generator, dtype=torch.float64)
    u, s, v = torch.linalg.svd(m, full_matrices=False)
    values = 0.3 * torch.linspace(1.0, 1.0 + spread, len(s), dtype=torch.float64)
    return u @ torch.diag(values) @ v


@pytest.mark.parametrize("scale", [-1.0, 1.0, 0.4])
@pytest.mark.parametrize("spread", [0.0, 0.2, 0.6, 3.0])  # to either side of both thresholds
@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (5, 5), (1, 3)])
def test_a_step_is_that_of_the_twin(shape: tuple[int, int], spread: float, scale: float) -> None:
    m = weight(*shape, spread)
    torch.testing.assert_close(semi_orthogonal_step(m, scale), simple_step(m, scale))


@pytest.mark.parametrize("shape", [(6, 20), (20, 6)])
def test_steps_converge_to_a_multiple_of_a_semi_orthogonal_matrix(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = Linear(shape[1], shape[0], orthonormal=-1.0)
    before = layer.weight.norm().item()
    for _ in range(30):
        layer.constrain()
    values = torch.linalg.svdvals(layer.weight)
    assert float(values.max() / values.min()) == pytest.approx(1.0, abs=1e-4)
    assert layer.weight.norm().item() == pytest.approx(before, rel=0.15)


def test_a_given_scale_is_what_singular_values_come_to() -> None:
    torch.manual_seed(0)
    layer = Linear(30, 5, orthonormal=0.7)
    for _ in range(60):
        layer.constrain()
    torch.testing.assert_close(torch.linalg.svdvals(layer.weight), torch.full((5,), 0.7))


def test_without_constraint_nothing_moves() -> None:
    layer = Linear(7, 5)
    before = layer.weight.detach().clone()
    layer.constrain()
    assert torch.equal(layer.weight, before)
