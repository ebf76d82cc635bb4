"""Minibatch plans: whole passes, exact tiling, and no memory of what came before."""

from __future__ import annotations

import pytest

from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.nnet.train.plan import BatchPlan, Minibatch, StreamPlan
from chainstitch.utils.errors import UsageError

SHAPES = [(10, 3, 4.0, 5), (64, 64, 3.0, 2), (7, 1, 2.0, 3), (5, 8, 3.0, 3), (100, 7, 1.0, 40)]


def sequence(plan: BatchPlan) -> list[Minibatch]:
    return [m for i in range(plan.num_iterations) for m in plan.iteration(i)]


@pytest.mark.parametrize(("utterances", "size", "passes", "iterations"), SHAPES)
def test_every_pass_has_every_utterance_exactly_once(
    utterances: int, size: int, passes: float, iterations: int
) -> None:
    plan = BatchPlan(utterances, size, passes, iterations, seed=3)
    batches = sequence(plan)
    assert len(batches) == plan.total == passes * plan.per_pass
    for number in range(int(passes)):
        members = batches[number * plan.per_pass : (number + 1) * plan.per_pass]
        assert sorted(i for m in members for i in m.indices) == list(range(utterances))
        assert all(len(m.indices) == size for m in members[:-1])


@pytest.mark.parametrize(("utterances", "size", "passes", "iterations"), SHAPES)
def test_iterations_tile_the_minibatches_evenly(
    utterances: int, size: int, passes: float, iterations: int
) -> None:
    plan = BatchPlan(utterances, size, passes, iterations)
    bounds = [plan.bounds(i) for i in range(plan.num_iterations)]
    assert bounds[0][0] == 0 and bounds[-1][1] == plan.total
    assert all(a[1] == b[0] for a, b in zip(bounds, bounds[1:], strict=False))
    lengths = [last - first for first, last in bounds]
    assert min(lengths) >= 1 and max(lengths) <= min(lengths) + 1


def test_an_iteration_by_itself_is_the_same_as_in_sequence() -> None:
    wanted = [BatchPlan(23, 4, 5.0, 7, seed=1).iteration(i) for i in range(7)]
    for i in reversed(range(7)):  # a fresh plan each, as after a resume
        assert BatchPlan(23, 4, 5.0, 7, seed=1).iteration(i) == wanted[i]


def test_the_seed_alone_decides_the_order() -> None:
    one, again, other = (sequence(BatchPlan(50, 8, 2.0, 3, seed=s)) for s in (1, 1, 2))
    assert one == again != other


def test_passes_have_different_orders() -> None:
    plan = BatchPlan(50, 50, 2.0, 2)
    assert plan.iteration(0)[0].indices != plan.iteration(1)[0].indices


@pytest.mark.parametrize(("passes", "total"), [(0.5, 5), (1.25, 12), (2.5, 25), (0.001, 1)])
def test_a_fraction_of_a_pass_is_that_share_of_its_minibatches(passes: float, total: int) -> None:
    plan = BatchPlan(20, 2, passes, 3)
    batches = sequence(plan)
    assert len(batches) == plan.total == total
    seen = [i for m in batches[: plan.per_pass] for i in m.indices]
    assert len(set(seen)) == len(seen)


def test_there_are_never_more_iterations_than_minibatches() -> None:
    plan = BatchPlan(4, 2, 1.0, 100)
    assert plan.num_iterations == 2 and [len(plan.iteration(i)) for i in (0, 1)] == [1, 1]


def test_frame_shifts_take_turns_over_minibatches_and_passes() -> None:
    plan = BatchPlan(9, 3, 3.0, 3)  # iterations are passes; without shuffled sizes
    shifts = [[m.shift for m in plan.iteration(number)] for number in range(3)]
    assert shifts == [[0, 1, -1], [1, -1, 0], [-1, 0, 1]]
    assert {m.shift for m in sequence(BatchPlan(9, 3, 3.0, 3, shifts=(0,)))} == {0}


@pytest.mark.parametrize("bad", [(0, 1, 1.0, 1), (1, 0, 1.0, 1), (1, 1, 0.0, 1), (1, 1, 1.0, 0)])
def test_nothing_to_train_on_is_refused(bad: tuple[int, int, float, int]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BatchPlan(*bad)


LENGTHS = [100, 900, 150, 90, 800, 120, 110, 130, 1000, 95, 105]  # three long ones


def ruled(text: str, **options: int) -> BatchPlan:
    return BatchPlan(
        len(LENGTHS), 64, 4.0, 3, rules=MinibatchRules(text), lengths=LENGTHS, **options
    )


def test_rules_keep_long_and_short_utterances_apart() -> None:
    plan = ruled("100=1:4/1000=1:2")
    assert plan.per_pass == 4 and plan.left_over == 0 and plan.total == 16
    batches = sequence(plan)
    for number in range(4):
        members = batches[4 * number : 4 * number + 4]
        assert sorted(i for m in members for i in m.indices) == list(range(len(LENGTHS)))
    for indices, _ in batches:
        longest = [LENGTHS[i] > 550 for i in indices]
        assert all(longest) or not any(longest)
        assert len(indices) <= (2 if longest[0] else 4)


def test_rules_leave_out_other_utterances_in_other_passes() -> None:
    plan = ruled("4")
    assert plan.per_pass == 2 and plan.left_over == 3
    batches = sequence(plan)
    used = [{i for m in batches[2 * e : 2 * e + 2] for i in m.indices} for e in range(4)]
    assert all(len(members) == 8 for members in used) and len(set.union(*used)) == len(LENGTHS)


def test_rules_too_are_a_function_of_the_seed() -> None:
    text = "100=2,3/1000=1:2"
    wanted = [ruled(text, seed=1).iteration(i) for i in range(3)]
    for i in reversed(range(3)):
        assert ruled(text, seed=1).iteration(i) == wanted[i]
    assert sequence(ruled(text, seed=2)) != [m for part in wanted for m in part]


def test_rules_by_which_nothing_can_be_trained_on_are_refused() -> None:
    with pytest.raises(UsageError, match="'16': 11 utterances do not fill a single minibatch"):
        ruled("16")
    with pytest.raises(ValueError, match="0 lengths for 11 examples"):
        BatchPlan(11, 64, 4.0, 3, rules=MinibatchRules("4"))


def test_streams_go_side_by_side_in_order_in_every_pass() -> None:
    plan = StreamPlan(3, 4, 2.5, 4)
    found = [m for i in range(plan.num_iterations) for m in plan.iteration(i)]
    chunks = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]]
    assert [m.indices for m in found] == [*chunks, *chunks, *chunks[:2]]
    assert (plan.total, plan.per_pass, plan.left_over, len(found)) == (10, 4, 0, 10)
    assert {m.shift for m in found} == {0} and {plan.jobs(i) for i in range(4)} == {1}


@pytest.mark.parametrize("bad", [(0, 1, 1.0, 1), (1, 0, 1.0, 1), (1, 1, 0.0, 1), (1, 1, 1.0, 0)])
def test_no_streams_are_refused(bad: tuple[int, int, float, int]) -> None:
    with pytest.raises(ValueError, match="at least one row, chunk and piece"):
        StreamPlan(*bad)
