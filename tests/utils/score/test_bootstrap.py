"""The bootstrap: reproducible, of the right width, and not fooled by pooling seeds."""

from __future__ import annotations

import random

import pytest

from chainstitch.utils.score.bootstrap import half_width, probability_better


def utterances(count: int = 200, seed: int = 3) -> tuple[list[int], list[int]]:
    generator = random.Random(seed)
    words = [generator.randrange(1, 8) for _ in range(count)]
    return [sum(generator.random() < 0.1 for _ in range(n)) for n in words], words


def naive_half_width(errors: list[int], words: list[int], replications: int = 4000) -> float:
    generator = random.Random(11)
    rates = []
    for _ in range(replications):
        drawn = generator.choices(range(len(errors)), k=len(errors))
        rates.append(100 * sum(errors[u] for u in drawn) / sum(words[u] for u in drawn))
    mean = sum(rates) / len(rates)
    return float(1.96 * (sum((r - mean) ** 2 for r in rates) / (len(rates) - 1)) ** 0.5)


def test_it_is_reproducible_and_agrees_with_resampling_by_hand() -> None:
    errors, words = utterances()
    width = half_width(errors, words)
    assert width == half_width(errors, words)
    assert width == pytest.approx(naive_half_width(errors, words), rel=0.06)


def test_identical_runs_do_not_narrow_the_interval() -> None:
    errors, words = utterances()
    tripled = half_width([3 * e for e in errors], [3 * n for n in words])
    assert tripled == pytest.approx(half_width(errors, words))


def test_more_errors_than_words_keep_their_count() -> None:
    assert half_width([5, 5, 5], [2, 2, 2]) == 0.0
    assert half_width([0, 8], [2, 2]) == pytest.approx(naive_half_width([0, 8], [2, 2]), rel=0.06)


def test_no_interval_from_one_utterance_or_without_words() -> None:
    assert half_width([1], [5]) is None
    assert half_width([1, 0], [5, 0]) is None


def test_better_is_certain_impossible_or_between() -> None:
    errors, words = utterances()
    assert probability_better([1] * 200, [0] * 200, words, (1, 1)) == 1.0
    assert probability_better([0] * 200, [1] * 200, words, (1, 1)) == 0.0
    assert probability_better(errors, errors, words, (1, 1)) == 0.0  # a tie is no improvement
    fewer = [max(0, e - (u % 3 == 0)) + (u % 7 == 0) for u, e in enumerate(errors)]
    assert 0.0 < probability_better(errors, fewer, words, (1, 1)) < 1.0


def test_unequal_numbers_of_runs_are_put_on_one_scale() -> None:
    errors, words = utterances()
    doubled, tripled = [2 * e for e in errors], [3 * e for e in errors]
    assert probability_better(doubled, tripled, words, (2, 3)) == 0.0  # the same per run
    assert probability_better(tripled, doubled, words, (3, 2)) == 0.0
