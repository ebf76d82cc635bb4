"""Kaldi's dropouts: how much is dropped, what together, the same under the same seed."""

from __future__ import annotations

import pytest
import torch

from chainstitch.nnet.layers import GateDropout, SharedDropout

LIKE = torch.zeros(1)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.49])
def test_a_frame_never_loses_both_input_and_memory(p: float) -> None:
    torch.manual_seed(0)
    masks = GateDropout(p)(20_000, LIKE)
    assert masks is not None and masks.shape == (20_000, 3)
    assert set(masks.unique().tolist()) == {0.0, 1.0}  # not divided by 1 - p
    assert (1 - masks.mean(0)).tolist() == pytest.approx([p] * 3, abs=0.015)
    i, f, o = masks.T
    assert not ((i == 0) & (f == 0)).any()
    assert float(((o == 0) & (i == 0)).float().mean()) == pytest.approx(p * p, abs=0.015)


@pytest.mark.parametrize("columns", [1, 4])
def test_masks_of_the_older_lstm_are_independent(columns: int) -> None:
    torch.manual_seed(0)
    masks = GateDropout(0.3, joint=False, columns=columns)(20_000, LIKE)
    assert masks is not None and masks.shape == (20_000, 3 * columns)
    dropped = (masks == 0).float()
    together = dropped.T @ dropped / len(dropped)
    wanted = torch.full((3 * columns, 3 * columns), 0.09)
    wanted.fill_diagonal_(0.3)
    torch.testing.assert_close(together, wanted, atol=0.015, rtol=0)


def test_evaluation_multiplies_by_what_is_kept_in_the_mean() -> None:
    masks = GateDropout(0.2).eval()(5, LIKE)
    assert masks is not None
    assert torch.equal(masks, torch.full((5, 3), 0.8))


def test_of_proportion_zero_nothing_is_drawn() -> None:
    before = torch.get_rng_state()
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert GateDropout(0.0)(4, LIKE) is None
    assert torch.equal(SharedDropout(0.0)(x, torch.tensor([4])), x)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("continuous", [False, True])
def test_a_sequence_has_one_mask_for_all_its_frames(continuous: bool) -> None:
    layer, counts = SharedDropout(0.25, continuous), torch.tensor([5, 1, 300])
    x = torch.ones(306, 2000)
    torch.manual_seed(1)
    y = layer(x, counts)
    torch.manual_seed(1)
    assert torch.equal(layer(x, counts), y)
    masks = y[[0, 5, 6]]
    assert torch.equal(y, masks.repeat_interleave(counts, 0))
    assert not torch.equal(masks[0], masks[1])
    assert float(masks.mean()) == pytest.approx(1.0, abs=0.02)
    if continuous:
        assert (float(masks.min()), float(masks.max())) == pytest.approx((0.5, 1.5), abs=0.01)
    else:
        assert masks.unique().tolist() == pytest.approx([0.0, 4 / 3])
        assert float((masks == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(layer.eval()(x, counts), x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: GateDropout(-0.1),
        lambda: GateDropout(1.1),
        lambda: GateDropout(0.1, joint=True, columns=4),
        lambda: SharedDropout(1.5),
        lambda: SharedDropout(0.6, continuous=True),
    ],
)
def test_settings_out_of_range_are_refused(make) -> None:
    with pytest.raises(ValueError, match="dropout"):
        make()
