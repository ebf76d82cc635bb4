"""Training configs: which numbers are refused before anything is read."""

from __future__ import annotations

import pytest

from chainstitch.nnet.tasks.speech_config import Chain, Optim


@pytest.mark.parametrize("bad", [{"shrink": 0.0}, {"shrink": 1.1}, {"proportional_shrink": -1.0}])
def test_shrinking_out_of_range_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(bad))} wants"):
        Optim(**bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("rates", [(1e-2, 1e-3), (1e-3, 1e-2)])
def test_proportional_shrink_must_suit_the_largest_learning_rate(
    rates: tuple[float, float],
) -> None:
    Optim(*rates, proportional_shrink=49.0)
    with pytest.raises(ValueError, match=r"must be below 0\.5, found 50\.0 times 0\.01"):
        Optim(*rates, proportional_shrink=50.0)


def test_k2_with_a_leak_is_refused_with_the_fix() -> None:
    Chain(leaky=0.0, backend="k2")
    with pytest.raises(ValueError, match=r"found chain\.leaky = 0\.1; set chain\.leaky = 0, or"):
        Chain(backend="k2")
