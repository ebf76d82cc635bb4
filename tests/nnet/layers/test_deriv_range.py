"""Derivatives at the edges of chunks go as far as the margin says, in every layer."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from chainstitch.nnet.chain import monophones
from chainstitch.nnet.layers import Affine, BatchNorm
from chainstitch.nnet.layers.lstm_cell import CellBackward
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.build import Stack
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.utils.data.features import FeatureReader
from tests.reference.network import simple_forward
from tests.toy import XCONFIG, Toy, align_evenly, rows, run

PLAIN = "self-repair-scale-nonlinearity=0 clipping-threshold=1e9 zeroing-threshold=1e9"
LSTM = f"""
input name=input dim=4
relu-renorm-layer name=a dim=6 input=Append(-2,0,1)
fast-lstmp-layer name=l cell-dim=8 delay=-3 decay-time=20 {PLAIN}
affine-layer name=b dim=5 input=Append(-3,0,3)
fast-lstmp-layer name=m cell-dim=8 delay=3 input=Append(a, b) {PLAIN}
fast-lstm-layer name=n cell-dim=4 delay=-1 input=l {PLAIN}
lstmp-layer name=o cell-dim=8 delay=2 input=l {PLAIN}
output-layer name=output input=Append(m, n, o) output-delay=3
"""
TDNN = """
input name=input dim=4
relu-renorm-layer name=a dim=6 input=Append(-2,0,1)
relu-renorm-layer name=b dim=6 input=Append(-3,0,3)
output-layer name=output
"""
LENGTHS = torch.tensor([45, 36])
CHUNKS = ((6, 5), (3, 6))  # first output and number of outputs


def make(text: str) -> Network:
    torch.manual_seed(0)
    network = Network(text, 3).double()
    for p in network.parameters():
        nn.init.normal_(p, std=0.4)
    return network


def limits(before: int, after: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(1) of deriv_range.py for the chunks."""
    return (
        torch.tensor([3 * first - before for first, _ in CHUNKS]),
        torch.tensor([3 * (first + count - 1) + after for first, count in CHUNKS]),
    )


def features() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(2, 45, 4, generator=generator, dtype=torch.float64)


def weighed(outputs: torch.Tensor, n: int) -> torch.Tensor:
    """A loss of the outputs of the n-th chunk."""
    first, count = CHUNKS[n]
    generator = torch.Generator().manual_seed(n)
    weights = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    return (outputs[first : first + count] * weights).sum()


def gradients(
    network: Network, derivs: tuple[torch.Tensor, torch.Tensor] | None
) -> dict[str, torch.Tensor]:
    network.zero_grad()
    outputs, _ = network(features(), LENGTHS, 0, None, derivs)
    sum(weighed(outputs[n], n) for n in range(2)).backward()  # type: ignore[union-attr]
    return {name: p.grad.clone() for name, p in network.named_parameters()}  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "after"), [(0, 0), (5, 4), (11, 30)])
def test_gradients_are_those_of_the_twin_in_which_other_times_are_constants(
    before: int, after: int
) -> None:
    network = make(LSTM).train()
    derivs = limits(before, after)
    found = gradients(network, derivs)
    network.zero_grad()
    for n in range(2):
        between = (int(derivs[0][n]), int(derivs[1][n]))
        x = features()[n, : int(LENGTHS[n])]
        weighed(simple_forward(network, x, derivs=between), n).backward()
    for name, p in network.named_parameters():
        torch.testing.assert_close(found[name], p.grad, rtol=1e-9, atol=1e-9)


def test_a_wide_margin_is_no_limit_and_a_narrow_one_is() -> None:
    network = make(LSTM).train()
    every, wide, narrow = (gradients(network, d) for d in (None, limits(1000, 1000), limits(8, 8)))
    for name, wanted in every.items():
        torch.testing.assert_close(wide[name], wanted, rtol=1e-12, atol=1e-12)
    assert all((narrow[name] - every[name]).norm() > 1e-3 * every[name].norm() for name in (
        "layers.l.lstmp.w_all.weight", "layers.m.lstmp.w_all.weight", "layers.a.0.weight"
    ))  # fmt: skip


def test_without_memory_a_margin_of_nothing_loses_nothing() -> None:
    network = make(TDNN).train()
    derivs = limits(network.left_context, network.right_context)
    for name, wanted in gradients(network, None).items():
        torch.testing.assert_close(gradients(network, derivs)[name], wanted)


def test_in_evaluation_there_is_no_limit() -> None:
    network = make(LSTM).eval()
    found = gradients(network, limits(0, 0))
    assert all(torch.equal(found[name], p) for name, p in gradients(network, None).items())


def test_the_loop_backward_ends_where_the_range_does(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    real = CellBackward.step

    def counted(self: CellBackward, t: int, *arguments: torch.Tensor) -> torch.Tensor:
        steps.append(t)
        return real(self, t, *arguments)

    monkeypatch.setattr(CellBackward, "step", counted)
    text = f"input name=input dim=4\nfast-lstmp-layer name=l cell-dim=8 delay=-3 {PLAIN}\n"
    network = make(text + "output-layer name=output").train()
    gradients(network, None)
    assert len(steps) == 15  # every third of 45 frames
    steps.clear()
    gradients(network, limits(6, 0))
    assert len(steps) == 10  # frames 3 to 30 of one or the other


def test_normalisation_over_rows_carries_nothing_out_of_the_range() -> None:
    torch.manual_seed(0)
    stack = Stack(Affine(3, 4), nn.ReLU(), BatchNorm(4)).double().train()
    x, inside = torch.randn(20, 3, dtype=torch.float64), torch.arange(20) < 12
    weights = torch.randn(20, 4, dtype=torch.float64)
    (stack(x, torch.tensor([20]), inside) * weights).sum().backward()
    found = stack[0].weight.grad.clone()  # type: ignore[union-attr, operator]
    stack.zero_grad()
    y = x
    for part in stack:
        y = part(y)
        y.register_hook(lambda d: d * inside[:, None])
    (y * weights).sum().backward()
    torch.testing.assert_close(found, stack[0].weight.grad)


def test_chunks_say_where_their_derivatives_end(toy: Toy, tmp_path: Path) -> None:
    alignments = align_evenly(toy, toy.train, tmp_path / "ali")
    examples = ChunkExamples(
        FeatureReader(toy.train), alignments, monophones(4), None, widths="40,25", left=12,
        right=5, derivs=(9, 7),
    )  # fmt: skip
    batch = examples.batch(range(len(examples)))
    assert batch.derivs is not None
    assert batch.derivs[0].tolist() == (3 * batch.first - 9).tolist()
    assert batch.derivs[1].tolist() == (3 * (batch.first + batch.num_outputs - 1) + 7).tolist()
    assert {0, 4} <= set(batch.first.tolist())


def test_training_with_a_margin_differs_and_a_wide_one_does_not(toy: Toy, tmp_path: Path) -> None:
    align_evenly(toy, toy.train, tmp_path / "ali")
    align_evenly(toy, toy.dev, tmp_path / "dev")
    conf = tmp_path / "lstm.toml"
    lstm = "fast-lstmp-layer name=tdnn2 cell-dim=12 delay=-3"
    text = toy.conf.read_text()
    conf.write_text(
        text.replace(XCONFIG, XCONFIG.replace("relu-renorm-layer name=tdnn2 dim=16 ", f"{lstm} "))
    )
    fixed = [
        *("--ali", tmp_path / "ali", "--valid-ali", tmp_path / "dev"),
        *("--set", "training.passes=1", "--set", "optim.final_lr=5e-3"),
        *("--set", "training.chunk_widths=40,25", "--set", "training.left_context=21"),
    ]
    found = []
    for n, margin in enumerate((-1, 0, 500)):
        out = tmp_path / str(n)
        more = ("--set", f"training.deriv_truncate_margin={margin}")
        assert run(*toy.arguments(out, *fixed, *more, conf=conf)) == 0
        found.append([float(row["valid_objf"]) for row in rows(out)])  # type: ignore[arg-type]
    assert found[2] == pytest.approx(found[0], rel=1e-5)
    assert found[1] != pytest.approx(found[0], rel=1e-4)


@pytest.mark.parametrize(
    ("margin", "wanted"), [("8", "is about chunks"), ("-2", "deriv_truncate_margin wants -1 to")]
)
def test_wrong_margins_are_one_line(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str], margin: str, wanted: str
) -> None:
    more = ("--set", f"training.deriv_truncate_margin={margin}")
    assert run(*toy.arguments(tmp_path / "exp", *more)) == 2
    assert wanted in capsys.readouterr().err
