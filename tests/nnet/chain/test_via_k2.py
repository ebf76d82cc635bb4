"""k2 and the native back ends compute the same sums; what k2 does quietly, we refuse aloud."""

from __future__ import annotations

import logging
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainstitch.nnet.chain import ChainLoss, DenominatorGraph, forward_backward, via_k2
from chainstitch.nnet.chain.numerator import NumeratorBatch, NumeratorCompiler
from chainstitch.nnet.loss import Outputs
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor
from chainstitch.utils.optional import UnusableError
from tests.k2.needed import needs_k2
from tests.reference.forward_backward import enumerate_log_z

SRC, DST = [0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 0, 2, 0]
PDF, PROB = [0, 1, 1, 2, 0, 3, 2], [0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]


def _graph(pdfs: int = 4) -> DenominatorGraph:
    return DenominatorGraph.from_arcs(*map(torch.tensor, (SRC, DST, PDF, PROB)), num_pdfs=pdfs)


def _likes(seed: int, *shape: int, scale: float = 3.0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(scale=scale, size=shape)).float()


def _assert_near(
    found: tuple[torch.Tensor, torch.Tensor], wanted: tuple[torch.Tensor, torch.Tensor]
) -> None:
    error = (found[0] - wanted[0]).abs()
    assert bool((error <= 1e-5 * wanted[0].abs().clamp(min=1)).all()), (found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1], atol=1e-4, rtol=0)


@needs_k2
def test_it_is_the_sum_of_all_enumerated_paths() -> None:
    graph, y = _graph(), _likes(0, 1, 5, 4)
    wanted = enumerate_log_z(SRC, DST, PDF, PROB, graph.initial.numpy(), y[0].double().numpy())
    log_z, _ = forward_backward(graph, y, torch.tensor([5]), 0, "k2")
    assert log_z.dtype == torch.float64
    assert log_z.item() == pytest.approx(wanted, abs=1e-6)


@needs_k2
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 10**6), st.integers(1, 200), st.integers(1, 3000), st.integers(1, 60),
    st.sampled_from([0.1, 3.0, 20.0]), st.booleans(),
)  # fmt: skip
def test_back_ends_agree_on_any_graph(
    seed: int, states: int, arcs: int, pdfs: int, scale: float, shift: bool
) -> None:
    """Dead ends, unreachable states, self-loops, parallel arcs of one pdf and of several, columns
    of -inf, ragged lengths, one frame, pdfs without arcs, offsets of frames, garbage behind."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, states, (2, arcs))
    src[0], dst[0] = 0, 0  # that some path goes on for ever
    pdf, prob = rng.integers(0, pdfs, arcs), rng.uniform(1e-3, 1, arcs)
    copies = rng.random(arcs) < 0.1
    src, dst, pdf = (np.append(column, column[copies]) for column in (src, dst, pdf))
    prob = np.append(prob, rng.uniform(1e-3, 1, copies.sum()))
    pdf[arcs:][rng.random(copies.sum()) < 0.5] = pdf[0]
    tensors = map(torch.from_numpy, (src, dst, pdf, prob))
    graph = DenominatorGraph.from_arcs(*tensors, num_pdfs=pdfs + 2)
    batch, frames = int(rng.integers(1, 12)), int(rng.integers(1, 9))
    lengths = torch.from_numpy(rng.integers(1, frames + 1, batch))
    y = _likes(seed, batch, frames, pdfs + 2, scale=scale)
    if shift:
        y += _likes(seed + 1, batch, frames, 1, scale=1e3)
    forbidden = torch.from_numpy(rng.random(pdfs + 2) < 0.2)
    forbidden[pdf[0]] = False
    y[..., forbidden] = -math.inf
    for i, n in enumerate(lengths):
        y[i, n:] = math.nan
    found = forward_backward(graph, y, lengths, 0, "k2")
    _assert_near(found, forward_backward(graph, y, lengths, 0, "reference"))
    if not shift:  # floats of 1e3 that cancel leave cpu.py too few digits for this
        _assert_near(found, forward_backward(graph, y, lengths, 0, "cpu"))
    for i, n in enumerate(lengths.tolist()):
        assert not found[1][i, n:].any()


@needs_k2
def test_a_batch_in_pieces_gives_what_it_gives_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, y = _graph(), _likes(1, 7, 9, 4)
    lengths = torch.tensor([3, 9, 1, 9, 2, 8, 5])
    whole = via_k2.denominator(graph, y, lengths)
    calls = []
    piece = via_k2._piece
    monkeypatch.setattr(via_k2, "_piece", lambda *a: calls.append(len(a[3])) or piece(*a))  # type: ignore[func-returns-value]
    pieces = via_k2.denominator(graph, y, lengths, max_states=130, max_arcs=220)
    assert len(calls) > 2 and sum(calls) == 7
    _assert_near(pieces, whole)


@needs_k2
def test_a_sequence_over_a_limit_is_an_error_that_names_it_and_never_a_smaller_beam(
    capfd: pytest.CaptureFixture[str],
) -> None:
    y, lengths = _likes(1, 2, 9, 4), torch.tensor([9, 2])
    with pytest.raises(ValueError, match="max_states 50 or max_arcs 25000000; use shorter"):
        via_k2.denominator(_graph(), y, lengths, max_states=50)
    with pytest.raises(ValueError, match="over max_states 15000000 or max_arcs 99"):
        via_k2.denominator(_graph(), y, lengths, max_arcs=99)
    # what is counted is enough: at the least limit that is let through, nothing is pruned
    via_k2.denominator(_graph(), y, lengths, max_states=12 * 5, max_arcs=3 + 10 * 10)
    assert "beam" not in capfd.readouterr().err


@needs_k2
def test_numbers_that_do_not_fit_sixteen_bits_are_refused() -> None:
    states = 70_000
    ring = torch.arange(states)
    graph = DenominatorGraph(
        ring, ring.roll(-1), torch.zeros_like(ring), torch.ones(states).double(),
        torch.full((states,), 1 / states).double(), 0, 1,
    )  # fmt: skip
    with pytest.raises(UnusableError, match="counts states, pdfs and frames to 65535.*70000"):
        forward_backward(graph, torch.zeros(1, 1, 1), torch.tensor([1]), 0, "k2")


@needs_k2
def test_nonfinite_output_and_missing_paths_name_their_sequences() -> None:
    graph, lengths = _graph(), torch.tensor([5, 5, 4])
    for bad in (math.nan, math.inf):
        y = _likes(2, 3, 5, 4)
        y[1, 2, 1] = bad
        with pytest.raises(NonFiniteError) as caught:
            forward_backward(graph, y, lengths, 0, "k2")
        assert caught.value.sequences == [1]
    y = _likes(2, 3, 5, 4)
    y[1, 3] = -math.inf
    y[2, 4] = math.nan  # padding
    with pytest.raises(NonFiniteError) as caught:
        forward_backward(graph, y, lengths, 0, "k2")
    assert caught.value.sequences == [1]
    once = DenominatorGraph(
        *map(torch.tensor, ([0], [1], [0])), torch.ones(1).double(),
        torch.tensor([1.0, 0.0]).double(), 0, 1,
    )  # fmt: skip
    for batch in ([1, 2], [2], [2, 2]):
        with pytest.raises(NonFiniteError) as caught:
            forward_backward(once, torch.zeros(len(batch), 2, 1), torch.tensor(batch), 0, "k2")
        assert caught.value.sequences == [i for i, n in enumerate(batch) if n == 2]


@needs_k2
def test_pdfs_far_below_one_that_no_arc_has_keep_their_digits() -> None:
    y = torch.zeros(1, 5, 6)
    y[..., :4] = _likes(3, 1, 5, 4)
    wanted = forward_backward(_graph(), y[..., :4], torch.tensor([5]), 0, "reference")
    y[..., 5] = 1e6
    found = forward_backward(_graph(6), y, torch.tensor([5]), 0, "k2")
    _assert_near((found[0], found[1][..., :4]), wanted)


def test_a_leak_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"no leaky HMM, got leaky=0\.1; use leaky=0"):
        forward_backward(_graph(), torch.zeros(1, 5, 4), torch.tensor([5]), 0.1, "k2")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise ImportError('k2 was built using PyTorch 1.2\\nBut you are using 3.4')",
         "cannot be imported .k2 was built using PyTorch 1.2 But you are using 3.4"),
        ("raise OSError('libcudart.so.9: cannot open shared object file')",
         "cannot be imported .libcudart.so.9"),
        ("import a_module_that_k2_wants", "cannot be imported .No module named 'a_module_that"),
    ],
)  # fmt: skip
def test_a_k2_that_does_not_load_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, said: str
) -> None:
    (tmp_path / "k2.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    with pytest.raises(ValueError, match=said) as caught:
        forward_backward(_graph(), torch.zeros(1, 5, 4), torch.tensor([5]), 0, "k2")
    assert isinstance(caught.value, UserError)
    assert f"for this torch, {torch.__version__}" in str(caught.value)
    assert 'chain.backend = "cpu"' in str(caught.value)


def test_no_k2_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    with pytest.raises(ValueError, match="k2 is not installed; install a k2 that was built for"):
        forward_backward(_graph(), torch.zeros(1, 5, 4), torch.tensor([5]), 0, "k2")


def _numerators(count: int) -> NumeratorBatch:
    """Every path of the graph, for each sequence: the objective is 0."""
    graph = _graph()
    any_pdf = dict.fromkeys(range(graph.num_pdfs), 1)
    one = NumeratorCompiler(graph).compile(PdfAcceptor([any_pdf, any_pdf], [False, True]))
    return NumeratorBatch([one] * count)


@needs_k2
def test_the_loss_checks_k2_once_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    loss = ChainLoss(_graph(), leaky=0.0, backend="k2")
    with caplog.at_level(logging.INFO):
        for seed in range(3):
            y = _likes(seed, 2, 5, 4).requires_grad_()
            outcome = loss.outcome(Outputs(y, torch.tensor([5, 3])), _numerators(2))
            outcome.value.backward()
            np.testing.assert_allclose(outcome.objective, 0.0, atol=1e-5)
    assert caplog.text.count("k2 agrees with the cpu back end") == 1


def _wrong(factor: float, shift: float) -> object:
    """A stand-in for k2 that is wrong by so much."""

    def denominator(graph, likes, lengths, leaky):  # type: ignore[no-untyped-def]
        log_z, posteriors = forward_backward(graph, likes, lengths, 0, "cpu")
        return log_z + shift, posteriors * factor

    return denominator


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 1e-3), (1.001, 0.0), (0.5, -1.0)])
def test_a_k2_that_computes_something_else_is_an_error_with_both_figures(
    monkeypatch: pytest.MonkeyPatch, factor: float, shift: float
) -> None:
    monkeypatch.setattr(via_k2, "denominator", _wrong(factor, shift))
    y, lengths = _likes(0, 2, 5, 4), torch.tensor([5, 3])
    right, _ = forward_backward(_graph(), y, lengths, 0, "cpu")
    with pytest.raises(UserError, match="do not agree") as caught:
        ChainLoss(_graph(), leaky=0.0, backend="k2")(y, lengths, _numerators(2))
    said = str(caught.value)
    assert any(f"{z:.8g} by cpu" in said and f"{z + shift:.8g} by k2" in said for z in right)
    assert "set chain.backend to cpu" in said


def test_a_k2_that_is_as_near_as_wanted_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(via_k2, "denominator", _wrong(1.00001, 1e-6))
    loss = ChainLoss(_graph(), leaky=0.0, backend="k2")
    assert math.isfinite(loss(_likes(0, 2, 5, 4), torch.tensor([5, 3]), _numerators(2)))
