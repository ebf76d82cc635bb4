"""Minibatch rules: which sizes come while input lasts, which at its end, and what is no rule."""

from __future__ import annotations

import numpy as np
import pytest

from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.utils.errors import UsageError


def sizes(text: str, example_sizes: list[int]) -> list[int]:
    return [len(batch) for batch in MinibatchRules(text).merge(example_sizes)]


@pytest.mark.parametrize(
    ("text", "examples", "wanted"),
    [
        ("64", 64, [64]),
        ("64", 200, [64, 64, 64]),  # 8 are left out
        ("64,32", 200, [64, 64, 64]),
        ("64,32", 100, [64, 32]),
        ("32,64", 100, [64, 32]),  # the order is of no account
        ("64,32", 31, []),
        ("32,16,8", 63, [32, 16, 8]),  # again and again: 7 are left out
        ("16:32,64", 90, [64, 26]),  # any number of the range
        ("16:32,64", 79, [64]),
        ("16:32,64", 127, [64, 32, 31]),
        ("1:64", 130, [64, 64, 2]),
        ("16:32", 100, [32, 32, 32]),
    ],
)
def test_sizes_of_a_stream_of_like_examples(text: str, examples: int, wanted: list[int]) -> None:
    assert sizes(text, [150] * examples) == wanted


def test_sizes_depend_on_the_nearest_example_size() -> None:
    rules = MinibatchRules("128=64:128/256=32,64")
    assert [rules.size(n, 128, ended=False) for n in (1, 128, 191, 192, 193, 256, 9999)] == [
        128, 128, 128, 128, 64, 64, 64,
    ]  # fmt: skip
    assert rules.size(128, 127, ended=False) == 0 == rules.size(256, 63, ended=False)
    short = [rules.size(128, n, ended=True) for n in (63, 64, 100, 128, 500)]
    long = [rules.size(256, n, ended=True) for n in (31, 32, 63, 64, 500)]
    assert short == [0, 64, 100, 128, 128] and long == [0, 32, 32, 64, 64]
    # halfway it is the rule that stands first
    assert MinibatchRules("256=8/128=4").size(192, 8, ended=False) == 8


def test_groups_fill_side_by_side_in_the_order_of_the_stream() -> None:
    rules = MinibatchRules("10=2/20=1:3")
    assert rules.merge([20, 10, 20, 9, 20, 30, 10]) == [[1, 3], [0, 2, 4], [5]]
    assert rules.merge([]) == []


@pytest.mark.parametrize("text", ["7", "4,2", "2:3,8", "100=4:8/300=2,3/500=1"])
def test_no_example_comes_twice_and_the_rest_would_fill_nothing(text: str) -> None:
    generator = np.random.default_rng(0)
    rules = MinibatchRules(text)
    for _ in range(20):
        stream: list[int] = generator.integers(50, 700, generator.integers(0, 60)).tolist()
        batches = rules.merge(stream)
        used = [i for batch in batches for i in batch]
        assert len(set(used)) == len(used) and set(used) <= set(range(len(stream)))
        for batch in batches:
            assert batch == sorted(batch)
            assert rules.size(stream[batch[0]], len(batch), ended=True) == len(batch)
        left = set(range(len(stream))) - set(used)
        for i in left:
            alike = [j for j in left if rules._nearest(stream[j]) == rules._nearest(stream[i])]
            assert rules.size(stream[i], len(alike), ended=True) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "cannot read ''"),
        ("64,", "cannot read '64,'"),
        ("64;32", "cannot read '64;32'"),
        ("-4", "cannot read '-4'"),
        ("16:32:64", "cannot read '16:32:64'"),
        ("128=64/32", "cannot read '32'; wanted sizes and ranges, as in"),
        ("128=64/", "cannot read ''"),
        ("=64", "cannot read '=64'"),
        ("64,0", "found '0', wanted a size of 1 or more"),
        ("32:16", "found '32:16', wanted a size of 1 or more or a range that rises"),
        ("128=64/128=32", "128= stands there twice"),
    ],
)
def test_mistakes_are_named(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        MinibatchRules(text)
    assert said in str(caught.value) and repr(text) in str(caught.value)
