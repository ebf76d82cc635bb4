"""Truncated back-propagation in time: a small language model through the trainer, and by hand."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.outcome import Loss, Outcome, Outputs
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.train.carried_state import CarriedState, State
from chainstitch.nnet.train.plan import StreamPlan
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils.errors import UsageError
from tests.nnet.train.test_stopping import stopped
from tests.toy import rows as rows_of
from tests.toy import same_tensors
from tests.training import make_trainer, settings

WORDS = 5
BY_HAND = {"natural_gradient": False, "max_change": 0.0, "layer_max_change": False}


class LanguageModel(Trainable):
    """Words (streams, time) and a state -> scores of the next ones, and the state at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, 2)
        self.lstm = nn.LSTM(2, 3, batch_first=True)
        self.output = nn.Linear(3, WORDS)
        self.double()
        with torch.no_grad():  # as the gold numbers have it
            for n, p in enumerate(self.parameters()):
                p.copy_(torch.sin(n + torch.arange(p.numel(), dtype=p.dtype)).view_as(p) / 2)

    def forward(self, words: Tensor, state: State) -> tuple[Tensor, State]:
        h, c = (each[None] for each in state)
        hidden, (h, c) = self.lstm(self.embedding(words), (h, c))
        return self.output(hidden), [h[0], c[0]]

    def zeros(self, streams: int) -> State:
        return [torch.zeros(streams, 3, dtype=torch.float64) for _ in range(2)]


class CrossEntropy:
    taps = ()

    def outcome(self, outputs: Outputs, targets: Tensor) -> Outcome:
        each = nn.functional.cross_entropy(outputs.main.transpose(1, 2), targets, reduction="none")
        return Outcome(each.sum(), -each.detach().sum(1), targets.numel())


class Text:
    """Streams of words (rows, chunks * width + 1); what passed is in `passes`."""

    unit = "word"

    def __init__(self, words: Tensor, width: int) -> None:
        self.words, self.width = words, width
        self.rows, self.chunks = len(words), (words.shape[1] - 1) // width
        self.frames = np.full(len(self), width)
        self.num_measured, self.at_once = len(self), self.rows
        self.carried = CarriedState(self.rows)
        self.passes: list[tuple[list[int], bool, State]] = []

    def __len__(self) -> int:
        return self.rows * self.chunks

    def __str__(self) -> str:
        return f"{self.words.numel()} words"

    def batch(self, indices: Sequence[int]) -> Chunks:
        return Chunks(self, list(indices))

    def chunk(self, n: int) -> tuple[Tensor, Tensor]:
        stream, begin = self.words[n % self.rows], n // self.rows * self.width
        return stream[begin : begin + self.width], stream[begin + 1 : begin + self.width + 1]

    def state_dict(self) -> dict[str, Any]:
        return self.carried.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.carried.load_state_dict(state)


@dataclasses.dataclass
class Chunks:
    text: Text
    indices: list[int]
    start: State | None = None

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def count(self) -> int:
        return len(self) * self.text.width

    def outputs(self, network: nn.Module, device: str) -> Tensor:
        raise NotImplementedError

    def outcome(self, network: Trainable, loss: Loss, device: str, shift: int = 0) -> Outcome:
        assert isinstance(network, LanguageModel)
        first = self.start is None
        if self.start is None:
            zeros = network.zeros(len(self))
            self.start = self.text.carried.take(self.indices, network.training, zeros)
        self.text.passes.append((self.indices, network.training, self.start))
        chunks = [self.text.chunk(n) for n in self.indices]
        words, targets = (torch.stack(each) for each in zip(*chunks, strict=True))
        main, end = network(words, self.start)
        if first:
            self.text.carried.leave(self.indices, network.training, end)
        return loss.outcome(Outputs(main), targets)


def text(rows: int = 4, chunks: int = 6, width: int = 3, seed: int = 0) -> Text:
    generator = torch.Generator().manual_seed(seed)
    return Text(torch.randint(WORDS, (rows, chunks * width + 1), generator=generator), width)


def made(out: Path, scale: float, passes: float = 2.0, pieces: int = 3, **options: Any) -> Trainer:
    """Twelve minibatches of four streams' chunks, in three iterations."""
    out.mkdir(exist_ok=True)
    optim = settings(
        0.05, 0.02, scale, 1, slow_start=1, **{k: options.pop(k, v) for k, v in BY_HAND.items()}
    )
    train = options.pop("train", None) or text()
    valid = options.pop("valid", None) or text(2, 5, 3, 1)
    plan = StreamPlan(train.rows, train.chunks, passes, pieces)
    return make_trainer(
        LanguageModel(), CrossEntropy(), train, valid, plan, optim, out, **options
    )  # fmt: skip


@pytest.mark.parametrize("scale", [0.0, 0.3])
def test_it_is_the_plain_loop_over_chunks(tmp_path: Path, scale: float) -> None:
    trainer = made(tmp_path, scale)
    trainer.run()
    network, data = LanguageModel(), text()
    parameters = list(network.parameters())

    def passed(k: int, state: State) -> tuple[float, list[Tensor], State]:
        """Loss, gradients and end state of the k-th chunks."""
        words = data.words[:, k * 3 : k * 3 + 4]
        main, end = network(words[:, :-1], state)
        scores = main.log_softmax(2)
        loss = -sum(
            scores[row, time, int(words[row, time + 1])] for row in range(4) for time in range(3)
        )
        assert isinstance(loss, Tensor)
        gradients = torch.autograd.grad(loss, parameters)
        return loss.item(), list(gradients), [each.detach() for each in end]

    def move(gradients: list[Tensor], rate: float) -> None:
        for p, gradient in zip(parameters, gradients, strict=True):
            p.data.sub_(gradient, alpha=rate)

    losses: list[list[float]] = [[], [], []]
    seconds: list[list[float]] = [[], [], []]
    state = network.zeros(4)
    for number in range(12):
        done, k = divmod(number, 6)
        iteration = number // 4
        if k == 0:
            state = network.zeros(4)
        rate = trainer.rows[iteration]["lr"]
        alpha = scale if iteration else 0.0
        loss, gradients, end = passed(k, state)
        losses[iteration].append(loss)
        if alpha:
            move(gradients, -alpha * rate)
            loss, gradients, _ = passed(k, state)
            seconds[iteration].append(loss)
        move(gradients, (1 + alpha) * rate)
        state = end
    for name, value in network.state_dict().items():
        torch.testing.assert_close(trainer.network.state_dict()[name], value, msg=name)
    for row, first, second in zip(trainer.rows, losses, seconds, strict=True):
        assert row["train_objf"] == pytest.approx(-sum(first) / 48) and row["words"] == 48
        assert ("step2_objf" in row) == bool(second)
        if second:
            assert row["step2_objf"] == pytest.approx(-sum(second) / 48)


def test_both_passes_of_a_minibatch_begin_where_the_first_pass_before_ended(tmp_path: Path) -> None:
    trainer = made(tmp_path, 0.3)
    train = trainer.examples
    assert isinstance(train, Text)
    ends: list[State] = []
    hook = trainer.network.register_forward_hook(
        lambda module, _, output: ends.append(output[1]) if module.training else None
    )
    trainer.run()
    hook.remove()
    passes = [(indices, start) for indices, training, start in train.passes if training]
    assert len(passes) == len(ends) == 4 + 2 * 8  # alpha is 0 in the first iteration
    number, before = 0, None
    while number < len(passes):
        indices, start = passes[number]
        again = number + 1 < len(passes) and passes[number + 1][0] == indices
        if again:
            assert all(a is b for a, b in zip(start, passes[number + 1][1], strict=True))
        wanted = LanguageModel().zeros(4) if indices[0] == 0 or before is None else before
        assert all(torch.equal(a, b) for a, b in zip(start, wanted, strict=True))
        assert not any(each.requires_grad for each in start)
        before = ends[number]
        number += 1 + again
    evaluated = [(indices, start) for indices, training, start in train.passes if not training]
    assert [indices[0] // 4 for indices, _ in evaluated] == 3 * list(range(6))
    for indices, start in evaluated:
        assert all(bool(each.any()) == (indices[0] > 0) for each in start)


GOLD = Text(torch.tensor([[0, 1, 2, 3, 4], [3, 2, 4, 0, 1]]), 2)


@pytest.mark.parametrize(
    ("scale", "firsts", "seconds", "norm"),
    [
        (0.0, 5.953564849142 + 7.918965622145, None, 3.760264367975),
        (0.3, 5.953564849142 + 8.193763231428, 6.331804764245 + 8.952747070807, 3.754727663765),
    ],
)
def test_two_chunks_have_the_gold_losses(
    tmp_path: Path, scale: float, firsts: float, seconds: float | None, norm: float
) -> None:
    # rate 1 of half the loss, norms clipped at 1; the first iteration's limit is over sqrt(2)
    optim = settings(0.5, 0.5, scale, 1, slow_start=0, **(BY_HAND | {"max_change": math.sqrt(2.0)}))
    network, train = LanguageModel(), Text(GOLD.words, 2)
    trainer = make_trainer(
        network, CrossEntropy(), train, GOLD, StreamPlan(2, 2, 1.0, 1), optim, tmp_path
    )
    before = trainer.examples.batch([0, 1]).outcome(network.eval(), CrossEntropy(), "cpu")
    assert float(before.value.detach()) == pytest.approx(5.953564849142, rel=1e-11)
    after = trainer.examples.batch([2, 3]).outcome(network, CrossEntropy(), "cpu")
    assert float(after.value.detach()) == pytest.approx(6.940469787231, rel=1e-11)
    trainer.run()
    (row,) = trainer.rows
    assert row["train_objf"] * 8 == pytest.approx(-firsts, rel=1e-6)  # torch's clip adds 1e-6
    if seconds is not None:
        assert row["step2_objf"] * 8 == pytest.approx(-seconds, rel=1e-6)
        assert float(network.output.bias[0].detach()) == pytest.approx(-0.199422712006, rel=1e-5)
    total = torch.cat([p.detach().flatten() for p in network.parameters()]).norm()
    assert float(total) == pytest.approx(norm, rel=1e-6)


def test_stopped_in_the_middle_of_a_pass_it_ends_as_the_undisturbed_run(tmp_path: Path) -> None:
    options: dict[str, Any] = {"natural_gradient": True, "max_change": 2.0}
    whole = made(tmp_path / "whole", 0.3, **options)
    whole.run()
    for minibatch in (1, 4, 5, 9, 11):
        out = tmp_path / str(minibatch)
        stopped(made(out, 0.3, **options), minibatch)
        again = made(out, 0.3, **options)
        assert again.resume()
        again.run()
        assert same_tensors(again.network.state_dict(), whole.network.state_dict()), minibatch
        assert rows_of(out) == rows_of(tmp_path / "whole")
    # without the state it would not
    out = tmp_path / "without"
    stopped(made(out, 0.3, **options), 9)
    again = made(out, 0.3, **options)
    assert again.resume()
    again.examples.load_state_dict({})
    again.run()
    assert not same_tensors(again.network.state_dict(), whole.network.state_dict())


def test_measuring_in_between_does_not_disturb_training(tmp_path: Path) -> None:
    found = []
    for pieces in (1, 6):  # with one piece the rate does not move, and nothing is measured between
        data = text()
        trainer = made(tmp_path / str(pieces), 0.0, 2.0, pieces, train=data, valid=data)
        trainer.schedule.options.schedule = "constant"
        trainer.schedule.rate = lambda *_: 0.05  # type: ignore[method-assign,assignment]
        trainer.run()
        found.append(trainer.network.state_dict())
    assert same_tensors(*found)


def test_a_minibatch_in_parts_carries_the_states_of_all(tmp_path: Path) -> None:
    whole, parts = (made(tmp_path / str(n), 0.3, accumulate=n) for n in (1, 3))
    for trainer in (whole, parts):
        trainer.run()
    for name, value in whole.network.state_dict().items():
        torch.testing.assert_close(parts.network.state_dict()[name], value, msg=name)


def test_streams_are_not_shared_by_processes(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train this network with one process"):
        made(tmp_path, 0.3, ranks=Ranks(0, 2))


def zeros(streams: int) -> State:
    return [torch.zeros(streams, 2), torch.zeros(streams, 1, 3)]


def ones(*streams: float) -> State:
    values = torch.tensor(streams, dtype=torch.float32)
    return [values[:, None].expand(-1, 2), values[:, None, None].expand(-1, 1, 3)]


def firsts(state: State) -> list[float]:
    assert all((each.flatten(1) == each.flatten(1)[:, :1]).all() for each in state)
    assert torch.equal(state[0][:, 0], state[1][:, 0, 0])
    found: list[float] = state[0][:, 0].tolist()
    return found


def test_a_stream_has_a_state_for_the_chunk_that_comes_next_only() -> None:
    carried = CarriedState(3)
    assert firsts(carried.take([0, 1, 2], True, zeros(3))) == [0, 0, 0]
    carried.leave([0, 1, 2], True, ones(1, 2, 3))
    assert firsts(carried.take([3, 4, 5], True, zeros(3))) == [1, 2, 3]
    assert firsts(carried.take([5, 3], True, zeros(2))) == [3, 1]  # in any order, again
    assert firsts(carried.take([6, 4, 0 + 2], True, zeros(3))) == [0, 2, 0]
    assert firsts(carried.take([3, 4, 5], False, zeros(3))) == [0, 0, 0]
    carried.leave([4], True, ones(9))
    assert firsts(carried.take([3, 7, 5], True, zeros(3))) == [1, 9, 3]
    with pytest.raises(ValueError, match="at most one of each"):
        carried.take([3, 6], True, zeros(2))


def test_of_a_state_that_is_not_finite_nothing_is_left() -> None:
    carried = CarriedState(4)
    end = [each.clone().requires_grad_() for each in ones(1, 2, 3, 4)]
    with torch.no_grad():
        end[0][1, 0], end[1][2, 0, 1] = torch.nan, -torch.inf
    carried.leave([0, 1, 2, 3], True, end)
    taken = carried.take([4, 5, 6, 7], True, zeros(4))
    assert firsts(taken) == [1, 0, 0, 4] and not any(each.requires_grad for each in taken)


def test_what_was_taken_and_loaded_stays_as_it_is() -> None:
    carried, other = CarriedState(2), CarriedState(2)
    assert carried.state_dict() == {}
    carried.leave([0, 1], True, ones(1, 2))
    carried.leave([0, 1], False, ones(5, 6))
    taken = carried.take([2, 3], True, zeros(2))
    other.load_state_dict(carried.state_dict())
    carried.leave([2, 3], True, ones(3, 4))
    assert firsts(taken) == firsts(other.take([2, 3], True, zeros(2))) == [1, 2]
    assert firsts(other.take([2, 3], False, zeros(2))) == [0, 0]
    other.load_state_dict({})
    assert firsts(other.take([2, 3], True, zeros(2))) == [0, 0]
