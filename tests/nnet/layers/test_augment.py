"""Masks and warps: how much, where, the same under the same seed, and none in evaluation."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from chainstitch.nnet.layers import FreqWarp, SpecAugment

COUNTS = torch.tensor([30, 1, 45])


def rows(dim: int = 40) -> Tensor:
    return torch.randn(int(COUNTS.sum()), dim, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("layer", [SpecAugment(), FreqWarp(40)])
def test_evaluation_changes_nothing_and_a_seed_repeats_itself(
    layer: SpecAugment | FreqWarp,
) -> None:
    x = rows()
    assert torch.equal(layer.eval()(x, COUNTS), x)
    layer.train()
    torch.manual_seed(3)
    first = layer(x, COUNTS)
    torch.manual_seed(3)
    assert torch.equal(layer(x, COUNTS), first)
    assert not torch.equal(layer(x, COUNTS), first)


def test_a_band_is_one_stretch_of_dimensions_for_a_whole_sequence() -> None:
    torch.manual_seed(0)
    layer = SpecAugment(freq_max_proportion=0.5, time_zeroed_proportion=0.0)
    widths = []
    for _ in range(300):
        masked = (layer(torch.ones(int(COUNTS.sum()), 40), COUNTS) == 0).split(COUNTS.tolist())
        for sequence in masked:
            assert (sequence == sequence[0]).all()
            places = sequence[0].nonzero().flatten().tolist()
            assert places == list(range(min(places, default=0), max(places, default=-1) + 1))
            widths.append(len(places))
    assert (min(widths), max(widths)) == (0, 20)
    assert abs(sum(widths) / len(widths) - 10) < 0.7  # uniform over 0 ... 20


@pytest.mark.parametrize(("proportion", "longest"), [(0.2, 20), (0.1, 5), (0.5, 3)])
def test_stretches_of_frames_are_short_and_zero_the_wanted_share(
    proportion: float, longest: int
) -> None:
    torch.manual_seed(0)
    layer = SpecAugment(0.0, proportion, longest)
    share = []
    for _ in range(60):
        masked = layer(torch.ones(2000, 2), torch.tensor([1500, 500])) == 0
        assert (masked[:, 0] == masked[:, 1]).all()
        share.append(masked.float().mean())
        length = 0
        for value in masked[:1500, 0].tolist():
            length = length + 1 if value else 0
            assert length <= longest
    assert abs(float(torch.stack(share).mean()) - proportion) < 0.03


def test_masks_differ_between_sequences() -> None:
    torch.manual_seed(0)
    masked = SpecAugment(0.5, 0.3, 4)(torch.ones(200, 40), torch.full((4,), 50)).view(4, 50, 40)
    assert len({tuple(sequence.flatten().tolist()) for sequence in masked}) == 4


def test_a_warp_moves_a_peak_by_its_factor_and_keeps_both_ends() -> None:
    layer = FreqWarp(40, max_warp=0.1)
    read = layer._positions(torch.tensor([0.9, 1.0, 1.1]))
    assert read[1].tolist() == pytest.approx(list(range(40)), abs=1e-4)
    assert read[:, 0].tolist() == [0.0] * 3
    assert read[:, -1].tolist() == pytest.approx([39.0] * 3, abs=1e-4)
    assert read[:, 20].tolist() == pytest.approx([18.0, 20.0, 22.0], abs=1e-4)
    assert (torch.diff(read) > 0).all()
    ramp = torch.arange(40.0).expand(int(COUNTS.sum()), 40)  # interpolation is exact on a ramp
    torch.manual_seed(0)
    wanted = layer._positions(1 + 0.1 * (2 * torch.rand(3) - 1))
    torch.manual_seed(0)
    torch.testing.assert_close(layer(ramp, COUNTS), wanted.repeat_interleave(COUNTS, 0))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpecAugment(1.0),
        lambda: SpecAugment(0.5, -0.1),
        lambda: SpecAugment(0.5, 0.2, 0),
        lambda: FreqWarp(40, 0.3),
    ],
)
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(ValueError, match="spec-augment|freq-warp"):
        make()
