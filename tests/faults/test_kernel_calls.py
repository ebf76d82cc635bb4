"""What kernels are called with: of the right kind and size, finite, and comparable."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    DenominatorGraph,
    NumeratorBatch,
    forward_backward,
    numerator_forward_backward,
)
from chainstitch.nnet.infer.best_path import AlignmentGraph, best_path
from chainstitch.nnet.loss import Outputs
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.decode.graph import Graph
from chainstitch.utils.decode.lattice import LatticeDecoder
from chainstitch.utils.errors import UserError
from chainstitch.utils.hmm.topology import Leaves, monophones
from chainstitch.utils.lang import compose
from tests.faults.graphs import GPU, PLACE, fst, graph, numerator

# -- what a kernel is called with ------------------------------------------------------------------

LIKES, LENGTHS = torch.zeros(2, 5, 4), torch.tensor([5, 3])
CALLS = {
    "lengths of 3.9": ({"lengths": torch.tensor([5.0, 3.9])}, TypeError, "lengths wants .*float32"),
    "lengths that are truths": ({"lengths": torch.tensor([True, True])}, TypeError, "torch.bool"),
    "lengths as a list": ({"lengths": [5, 3]}, TypeError, "lengths wants .* found list"),
    "a length of 0": ({"lengths": torch.tensor([5, 0])}, ValueError, "lengths must lie in 1..5"),
    "outputs of whole numbers": ({"log_likes": LIKES.long()}, TypeError, "log_likes wants .*int64"),
    "complex outputs": ({"log_likes": LIKES + 0j}, TypeError, "log_likes wants .*complex"),
    "sparse outputs": ({"log_likes": LIKES.to_sparse()}, TypeError, "log_likes wants .*sparse"),
    "outputs as an array": ({"log_likes": LIKES.numpy()}, TypeError, "found ndarray"),
    "outputs of one sequence": ({"log_likes": LIKES[0]}, ValueError, "log_likes must be"),
    "a scalar": ({"log_likes": torch.tensor(1.0)}, ValueError, "log_likes must be"),
}
OF_DENOMINATORS = {
    "a leak that is NaN": ({"leaky": math.nan}, ValueError, "leaky wants .* found nan"),
    "an infinite leak": ({"leaky": math.inf}, ValueError, "leaky wants .* found inf"),
    "a negative leak": ({"leaky": -0.1}, ValueError, "leaky wants .* found -0.1"),
    "a leak of letters": ({"leaky": "0.1"}, TypeError, "leaky wants a number, found '0.1'"),
    "a leak that is True": ({"leaky": True}, TypeError, "leaky wants a number, found True"),
    "no graph": ({"graph": "den.npz"}, TypeError, "wants a DenominatorGraph, found str"),
}


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
@pytest.mark.parametrize("row", CALLS | OF_DENOMINATORS)
def test_what_a_denominator_is_called_with_is_looked_at(row, backend):
    changed, kind, message = (CALLS | OF_DENOMINATORS)[row]
    given = {"graph": graph(), "log_likes": LIKES, "lengths": LENGTHS} | changed
    with pytest.raises(kind, match=message):
        forward_backward(**given, backend=backend)


@pytest.mark.parametrize("row", CALLS)
def test_what_numerators_are_called_with_is_looked_at(row):
    changed, kind, message = CALLS[row]
    given = {"log_likes": LIKES, "lengths": LENGTHS} | changed
    with pytest.raises(kind, match=message):
        numerator_forward_backward(NumeratorBatch([numerator()] * 2), **given, backend="cpu")


def test_no_sequences_are_no_minibatch_for_numerators():
    with pytest.raises(ValueError, match="0 numerator graphs for 0 sequences"):
        numerator_forward_backward(
            NumeratorBatch([]), torch.zeros(0, 5, 4), torch.zeros(0, dtype=torch.long)
        )


PATHS = {
    "outputs of fewer pdfs than the numerator": ({"likes": np.zeros((3, 1))}, ValueError, "2 or"),
    "fewer than the alignment graph": (
        {"likes": np.zeros((3, 2)), "arcs": numerator(pdf=np.array([0, 10**6], np.int32)),
         "numerator": numerator()}, ValueError, "1000001 or more",
    ),
    "outputs of whole numbers": ({"likes": np.zeros((3, 2), int)}, ValueError, "wanted floats"),
    "outputs beyond float32": ({"likes": np.full((3, 2), 1e39)}, ValueError, "not finite"),
    "a scale that is NaN": ({"acoustic_scale": math.nan}, ValueError, "acoustic_scale wants above"),
    "a scale of 0": ({"acoustic_scale": 0.0}, ValueError, "acoustic_scale wants above 0"),
    "a scale of letters": ({"acoustic_scale": "1"}, TypeError, "acoustic_scale wants a number"),
    "phones of other states": ({"phones": np.zeros(9, int)}, ValueError, "phones of 9 states"),
}  # fmt: skip


@pytest.mark.parametrize("row", PATHS)
def test_what_the_best_path_is_called_with_is_looked_at(row):
    changed, kind, message = PATHS[row]
    given = {"likes": np.zeros((3, 2)), "arcs": numerator(), "phones": np.array([0, 1])} | changed
    likes, arcs, phones = (given.pop(name) for name in ("likes", "arcs", "phones"))
    with pytest.raises(kind, match=message):
        best_path(AlignmentGraph(arcs, phones), likes, **given)


DECODER = {
    "beam": [0.0, -1.0, math.nan, math.inf, True, "15"],
    "lattice_beam": [0.0, math.nan, math.inf],
    "lmwt": [0.0, math.nan, math.inf],
    "wip": [math.nan, math.inf, "0"],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k, vs in DECODER.items() for v in vs])
def test_the_numbers_of_a_decoder_are_looked_at(name, value, tmp_path):
    path = tmp_path / "HLG.fst"
    compose.write_fst(fst([1, 4]), path)
    searched = Graph(path, {1: "a"}, {1: [(1,)]}, monophones(2))
    with pytest.raises((TypeError, ValueError), match=f"{name} wants"):
        if "beam" in name:
            LatticeDecoder(searched, **{name: value})
        else:
            decoder = LatticeDecoder(searched)
            decoder.best_path(decoder.decode(np.zeros((2, 4), np.float32)), **{name: value})


def test_a_leaves_table_without_phones_is_refused():
    with pytest.raises(ValueError, match="leaves: the table must be"):
        Leaves(np.zeros((1, 0, 1, 2), int), 4)


# -- numbers that are finite, and too large --------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
@pytest.mark.parametrize("leaky", [0.0, 0.1])
@pytest.mark.parametrize("far", [-1e35, 1e35, -3e38, -1e30, 3e10])
def test_frames_far_from_zero_have_the_posteriors_of_zeros(far, leaky, backend):
    y, lengths = torch.zeros(3, 5, 4), torch.tensor([5, 4, 5])
    wanted_z, wanted = forward_backward(graph(), y, lengths, leaky, "reference")
    y[0], y[1, 2] = far, far
    log_z, posteriors = forward_backward(graph(), y.to(PLACE), lengths, leaky, backend)
    torch.testing.assert_close(posteriors.cpu(), wanted, atol=1e-5, rtol=0)
    moved = torch.tensor([5, 1, 0]) * torch.tensor(far).double()
    torch.testing.assert_close(log_z.cpu(), wanted_z + moved, atol=1e-5, rtol=1e-7)


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
def test_a_mask_of_minus_1e35_is_one_of_minus_infinity(backend):
    y = torch.arange(20.0).reshape(1, 5, 4) % 3
    wanted, y_masked = y.clone(), y.clone()
    wanted[..., 0], y_masked[..., 0] = -math.inf, -1e35
    found = forward_backward(graph(), y_masked.to(PLACE), LENGTHS[:1], 0.1, backend)
    for one, other in zip(
        found, forward_backward(graph(), wanted, LENGTHS[:1], 0.1, "reference"), strict=True
    ):
        torch.testing.assert_close(one.cpu(), other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("backend", ["cpu", "reference", GPU])
def test_paths_farther_than_float64_can_say_are_an_error(backend):
    # three ways out of the start, of which the one at 0 ends after a frame
    columns = map(torch.tensor, ([0, 0, 0, 1, 2], [1, 2, 3, 1, 2], [0, 1, 2, 3, 3]))
    prob, initial = torch.tensor([0.5, 0.25, 0.25, 1.0, 1.0]), torch.tensor([1.0, 0, 0, 0])
    apart = DenominatorGraph(*columns, prob, initial, 0, 4)
    y = torch.zeros(2, 5, 4)
    y[1, 0, :2] = -1e35
    with pytest.raises(NonFiniteError, match=r"sequences \[1\].* nats") as caught:
        forward_backward(apart, y.to(PLACE), torch.tensor([5, 5]), 0.0, backend)
    assert caught.value.sequences == [1]


@pytest.mark.parametrize("backend", ["cpu", GPU])
@pytest.mark.parametrize("far", [-1e35, 1e35, 3e10])
def test_numerators_far_from_zero_have_the_posteriors_of_zeros(far, backend):
    two_ways = {
        "src": np.array([0, 0, 1], np.int32), "dst": np.array([1, 1, 1], np.int32),
        "pdf": np.array([0, 2, 1], np.int32), "log_prob": np.log([0.75, 0.25, 1.0]),
    }  # fmt: skip
    batch = NumeratorBatch([numerator(**two_ways)] * 2)
    y, lengths = torch.zeros(2, 5, 4), torch.tensor([4, 5])
    wanted_z, wanted = numerator_forward_backward(batch, y, lengths, "cpu")
    y[0] = far
    log_z, posteriors = numerator_forward_backward(batch, y.to(PLACE), lengths, backend)
    torch.testing.assert_close(posteriors.cpu(), wanted, atol=1e-6, rtol=0)
    moved = torch.tensor([4, 0]) * torch.tensor(far).double()
    torch.testing.assert_close(log_z.cpu(), wanted_z + moved, atol=1e-6, rtol=1e-7)


def test_a_numerator_farther_than_float64_can_say_is_an_error():
    y = torch.zeros(1, 3, 2)
    y[0, 0, 0] = -1e35  # the only way in, while pdf 1 of the same frame is at 0
    with pytest.raises(NonFiniteError, match="numerator of utt.* 1e\\+09 nats apart"):
        batch = NumeratorBatch([numerator()], names=["utt"])
        numerator_forward_backward(batch, y, torch.tensor([3]), "cpu")


def test_the_loss_names_utterances_whose_outputs_are_too_large_to_compare():
    loss = ChainLoss(graph(), output_l2=0.0, backend="cpu")
    y = torch.zeros(2, 5, 4, requires_grad=True)
    batch = NumeratorBatch([numerator()] * 2, names=["near", "far"])
    outcome = loss.outcome(Outputs(y, LENGTHS, {}), batch)
    assert torch.isfinite(outcome.objective).all()
    with torch.no_grad():
        y[1] = 3e9
    with pytest.raises(NonFiniteError, match="far is beyond 1e.09") as caught:
        loss.outcome(Outputs(y, LENGTHS, {}), batch)
    assert caught.value.sequences == [1]


def test_outputs_that_add_up_to_infinity_are_no_traceback(tmp_path):
    path = tmp_path / "HLG.fst"
    compose.write_fst(fst([1, 4]), path)
    decoder = LatticeDecoder(Graph(path, {1: "a"}, {1: [(1,)]}, monophones(2)))
    likes = np.full((20, 4), -3e38, np.float32)
    with pytest.raises(UserError, match=r"utt: the search lost all its paths.* 3e\+38"):
        decoder.decode(likes, "utt")
