"""Reading ahead is the plain loop with its waiting done elsewhere."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from chainstitch.nnet.train.read_ahead import NAME, Reader, read_ahead
from chainstitch.utils.data.features import FeatureReader
from tests.toy import Toy

DEPTHS = [(0, 1), (1, 1), (2, 1), (3, 2), (50, 4)]


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(NAME)]


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    assert not threads()
    yield
    assert not threads()


@pytest.mark.parametrize(("depth", "workers"), DEPTHS)
def test_results_come_in_order_whichever_is_ready_first(depth: int, workers: int) -> None:
    def square(n: int) -> int:
        time.sleep(0.002 * (n % 3))
        return n * n

    found = list(read_ahead(square, range(20), depth, workers))
    assert found == [(n, n * n) for n in range(20)]
    assert list(read_ahead(square, [], depth, workers)) == []


@pytest.mark.parametrize(("depth", "workers"), DEPTHS)
def test_an_exception_waits_for_its_turn(depth: int, workers: int) -> None:
    def half(n: int) -> int:
        if n == 4:
            raise ValueError("four")
        return n // 2

    seen = []
    with pytest.raises(ValueError, match="four"):
        for n, _ in read_ahead(half, range(9), depth, workers):
            seen.append(n)  # noqa: PERF401
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize(("depth", "workers"), DEPTHS)
def test_an_exception_of_the_items_waits_for_its_turn(depth: int, workers: int) -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise KeyError("after three")

    seen = []
    with pytest.raises(KeyError, match="after three"):
        for n, _ in read_ahead(str, items(), depth, workers):
            seen.append(n)  # noqa: PERF401
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_no_more_than_depth_are_prepared_early(depth: int) -> None:
    asked: list[int] = []
    for n, _ in read_ahead(asked.append, range(10), depth):
        time.sleep(0.01)
        assert len(asked) == min(n + 1 + depth, 10)


def test_threads_end_when_closed_forgotten_or_left_by_an_exception() -> None:
    def loop() -> None:
        for n, _ in read_ahead(str, range(100)):
            assert threads()
            if n == 3:
                raise RuntimeError("of the body")

    closed = read_ahead(str, range(100))
    assert not threads()  # not begun
    next(closed)
    assert threads()
    closed.close()
    assert not threads()
    forgotten = read_ahead(str, range(100))
    next(forgotten)
    del forgotten
    assert not threads()
    circle: list[Any] = [read_ahead(str, range(100))]
    circle.append(circle)
    next(circle[0])
    del circle
    gc.collect()
    assert not threads()
    with pytest.raises(RuntimeError, match="of the body"):
        loop()


def test_being_collected_in_its_own_thread_does_no_harm() -> None:
    """Garbage collection runs wherever memory is asked for, in the thread itself, say."""
    holder: list[Any] = []
    done = threading.Event()

    def prepare(n: int) -> int:
        if n == 2:
            while holder:  # until the test has let go
                time.sleep(0.001)
            gc.collect()
            done.set()
        return n

    gc.collect()
    gc.disable()
    try:
        holder.append(read_ahead(prepare, range(5)))
        circle: list[Any] = [holder[0]]
        circle.append(circle)
        next(circle[0])
        del circle
        holder.clear()
        assert done.wait(60)
    finally:
        gc.enable()
    for thread in threads():
        thread.join(60)


def test_gradients_are_recorded_where_the_caller_records_them() -> None:
    for enabled in (True, False):
        with torch.set_grad_enabled(enabled):
            found = [r for _, r in read_ahead(lambda _: torch.is_grad_enabled(), range(3))]
        assert found == [enabled] * 3


def test_nothing_is_drawn_and_minibatches_are_those_of_the_plain_loop(toy: Toy) -> None:
    examples = toy.examples()
    minibatches = [[n, (7 * n) % 24, 3] for n in range(12)]
    torch.manual_seed(5)
    state = torch.get_rng_state()
    plain = [examples.batch(m) for m in minibatches]
    for depth, workers in DEPTHS[1:]:
        ahead = read_ahead(examples.batch, minibatches, depth, workers)
        for (minibatch, found), wanted, of in zip(ahead, plain, minibatches, strict=True):
            assert minibatch is of
            assert torch.equal(found.features, wanted.features)
            for name, theirs in vars(wanted.targets.layout).items():
                assert torch.equal(getattr(found.targets.layout, name), theirs)
    assert torch.equal(torch.get_rng_state(), state)


def test_reading_is_hidden_behind_computing(toy: Toy) -> None:
    """Who computes with one waits until the next is being read, for which a plain loop is too late.

    No clock is asked, so that it holds on a machine that does other things.
    """
    began = [threading.Event() for _ in range(41)]
    began[40].set()

    class Watched(FeatureReader):
        def load(self, cut: Any) -> Any:
            next(event for event in began if not event.is_set()).set()
            return super().load(cut)

    reader, plain = Watched(toy.train), FeatureReader(toy.train)
    cuts = [reader.cuts[n % 24] for n in range(40)]
    for n, (cut, features) in enumerate(read_ahead(reader.load, cuts, 2)):
        assert began[n + 1].wait(60)
        assert np.array_equal(features, plain.load(cut))


@pytest.mark.parametrize(("depth", "workers"), [(-1, 1), (2, 0)])
def test_settings_that_cannot_be_are_refused(depth: int, workers: int) -> None:
    with pytest.raises(ValueError, match="read_ahead: depth"):
        read_ahead(str, [], depth, workers)


@pytest.mark.parametrize("waits", [False, True])
def test_where_all_cores_compute_it_begins_when_a_loop_has_waited(
    monkeypatch: pytest.MonkeyPatch, waits: bool
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    if not waits:  # a busy machine may keep even the shortest call waiting
        monkeypatch.setattr("chainstitch.nnet.train.read_ahead.MAX_WAIT", 10.0)
    used: set[str] = set()

    def prepare(n: int) -> int:
        used.add(threading.current_thread().name)
        if waits:
            time.sleep(0.01)
        return n * n

    reader = Reader(prepare)
    assert not reader.ahead
    for _ in range(2):
        found = []
        for item in reader(range(5)):
            found.append(item)
            began = time.thread_time()
            while time.thread_time() - began < 0.01:
                pass
        assert found == [(n, n * n) for n in range(5)]
        assert reader.ahead == waits
    assert any(name.startswith(NAME) for name in used) == waits


def test_with_a_gpu_or_an_idle_core_it_begins_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert not Reader(abs).ahead and Reader(abs, "cuda").ahead
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert Reader(abs).ahead
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert not Reader(abs).ahead
