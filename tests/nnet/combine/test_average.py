"""Running averages of models."""

from __future__ import annotations

import pytest
import torch

from chainstitch.nnet.combine.average import State, running_average


def models(count: int, dtype: torch.dtype = torch.float32) -> list[State]:
    generator = torch.Generator().manual_seed(0)
    return [
        {"w": torch.randn(3, 4, generator=generator, dtype=dtype), "count": torch.tensor(100 - n)}
        for n in range(count)
    ]


def test_every_candidate_is_the_naive_mean() -> None:
    given, seen = models(7), []
    running_average(given, lambda state: seen.append(state) or 0.0)
    for n, candidate in enumerate(seen, 1):
        naive = torch.stack([m["w"].double() for m in given[:n]]).mean(0)
        torch.testing.assert_close(candidate["w"].double(), naive, rtol=0, atol=1e-7)
        assert candidate["w"].dtype == torch.float32
        assert candidate["count"] == 100  # integers are the newest model's
    assert torch.equal(seen[0]["w"], given[0]["w"])


@pytest.mark.parametrize("best", [1, 3, 5])
def test_the_best_count_wins(best: int) -> None:
    given, table = models(5), [-1.0] * 5
    table[best - 1] = -0.5
    scores = iter(table)
    state, found = running_average(given, lambda _: next(scores))
    assert found == table
    naive = torch.stack([m["w"].double() for m in given[:best]]).mean(0)
    torch.testing.assert_close(state["w"].double(), naive, rtol=0, atol=1e-7)


def test_fewer_models_win_a_tie() -> None:
    given = models(3)
    state, _ = running_average(given, lambda _: -1.0)
    assert torch.equal(state["w"], given[0]["w"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_models_are_not_changed(dtype: torch.dtype) -> None:
    given = models(4, dtype)
    running_average(given, lambda _: 0.0)
    assert all(torch.equal(a["w"], b["w"]) for a, b in zip(given, models(4, dtype), strict=True))


def test_what_the_evaluation_does_to_its_state_does_not_spread() -> None:
    given, seen = models(4), []

    def evaluate(state: State) -> float:
        seen.append(state["w"].clone())
        return -float(len(seen))

    state, _ = running_average(given, evaluate)
    assert torch.equal(state["w"], seen[0])


def test_no_model_is_an_error() -> None:
    with pytest.raises(ValueError, match="no model"):
        running_average([], lambda _: 0.0)


def test_it_ends_where_five_averages_in_a_row_were_no_better() -> None:
    table = [-3.0, -1.0, -2.0, -2.0, -1.5, -1.0, -4.0, 0.0]  # the last would be the best
    scores = iter(table)
    state, found = running_average(models(8), lambda _: next(scores))
    assert found == table[:7]
    naive = torch.stack([m["w"].double() for m in models(8)[:2]]).mean(0)
    torch.testing.assert_close(state["w"].double(), naive, rtol=0, atol=1e-7)
