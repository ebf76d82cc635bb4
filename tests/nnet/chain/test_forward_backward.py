"""The denominator: Kaldi's gold numbers, the naive twin, and what holds of any forward-backward."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import DenominatorGraph, forward_backward
from tests.reference.forward_backward import enumerate_log_z, simple_forward_backward

SRC, DST = [0, 0, 1, 1, 1, 2, 2], [1, 2, 1, 2, 0, 2, 0]
PDF, PROB = [0, 1, 1, 2, 0, 3, 2], [0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]


def gold_graph():
    return DenominatorGraph.from_arcs(*map(torch.tensor, (SRC, DST, PDF, PROB)))


def gold_likes():
    t, k = torch.arange(5.0)[:, None], torch.arange(4.0)[None, :]
    return torch.sin(1 + 0.9 * t + 1.7 * k + 0.3 * t * k)[None]


def random_graph(rng, states, pdfs, arcs):
    src, dst = rng.integers(0, states, arcs), rng.integers(0, states, arcs)
    src[:states], dst[:states] = np.arange(states), (np.arange(states) + 1) % states  # connected
    pdf, prob = rng.integers(0, pdfs, arcs), rng.uniform(0.05, 1, arcs)
    tensors = map(torch.from_numpy, (src, dst, pdf, prob))
    return DenominatorGraph.from_arcs(*tensors, num_pdfs=pdfs)


def twin(graph, y, leaky):
    columns = (graph.src, graph.dst, graph.pdf, graph.prob)
    return simple_forward_backward(
        *(c.numpy() for c in columns), graph.initial.numpy(), y.double().numpy(), leaky
    )


def test_gold_initial_probabilities():
    np.testing.assert_allclose(
        gold_graph().initial.numpy(), [0.29321376, 0.34493343, 0.36185281], atol=1e-8
    )


@pytest.mark.parametrize(("leaky", "log_z"), [(1e-5, 0.94367990), (0.1, 1.53250160)])
def test_gold_log_z(leaky, log_z):
    value, _ = forward_backward(gold_graph(), gold_likes(), torch.tensor([5]), leaky)
    assert value.item() == pytest.approx(log_z, abs=1e-6)


def test_gold_posteriors():
    _, posteriors = forward_backward(gold_graph(), gold_likes(), torch.tensor([5]), 0.1)
    np.testing.assert_allclose(
        posteriors[0, [0, 4]].numpy(),
        [[0.416929, 0.336505, 0.128200, 0.118366], [0.078585, 0.584218, 0.108054, 0.229143]],
        atol=2e-6,
    )


def test_without_leak_it_is_the_sum_of_all_enumerated_paths():
    graph, y = gold_graph(), gold_likes()
    wanted = enumerate_log_z(SRC, DST, PDF, PROB, graph.initial.numpy(), y[0].double().numpy())
    value, _ = forward_backward(graph, y, torch.tensor([5]), leaky=0)
    assert value.item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_the_naive_twin_on_random_ragged_batches(seed):
    rng = np.random.default_rng(seed)
    states, pdfs = int(rng.integers(1, 12)), int(rng.integers(1, 9))
    graph = random_graph(rng, states, pdfs, states + int(rng.integers(0, 30)))
    batch, frames = int(rng.integers(1, 20)), int(rng.integers(1, 12))
    lengths = torch.from_numpy(rng.integers(1, frames + 1, batch))
    y = torch.from_numpy(rng.normal(scale=3, size=(batch, frames, pdfs))).float()
    if seed % 5 == 0:
        y.zero_()
    leaky = [0.0, 0.1, 1e-5][seed % 3]
    padded = y.clone()
    for i, n in enumerate(lengths):
        padded[i, n:] = math.nan  # padding must not matter
    log_z, posteriors = forward_backward(graph, padded, lengths, leaky)
    for i, n in enumerate(lengths.tolist()):
        wanted_z, wanted = twin(graph, y[i, :n], leaky)
        assert log_z[i].item() == pytest.approx(wanted_z, rel=1e-5, abs=1e-5)
        np.testing.assert_allclose(posteriors[i, :n].numpy(), wanted, atol=2e-5)
        assert not posteriors[i, n:].any()


def test_posteriors_sum_to_one_in_every_frame():
    rng = np.random.default_rng(0)
    graph = random_graph(rng, 50, 20, 400)
    y = torch.from_numpy(rng.normal(scale=2, size=(9, 80, 20))).float()
    _, posteriors = forward_backward(graph, y, torch.full((9,), 80))
    np.testing.assert_allclose(posteriors.sum(2).numpy(), 1.0, atol=2e-5)


def test_posteriors_are_the_finite_difference_of_log_z():
    graph, y = gold_graph(), gold_likes()
    _, posteriors = forward_backward(graph, y, torch.tensor([5]), 0.1)
    for t in range(5):
        for k in range(4):
            step = 1e-2
            up, down = y.clone(), y.clone()
            up[0, t, k] += step
            down[0, t, k] -= step
            high, _ = forward_backward(graph, up, torch.tensor([5]), 0.1)
            low, _ = forward_backward(graph, down, torch.tensor([5]), 0.1)
            slope = (high - low).item() / (2 * step)
            assert slope == pytest.approx(posteriors[0, t, k].item(), abs=1e-4)


def test_a_constant_added_to_a_frame_shifts_log_z_and_leaves_posteriors():
    graph, y = gold_graph(), gold_likes()
    first = forward_backward(graph, y, torch.tensor([5]))
    shift = torch.tensor([1e4, -1e4, 300.0, 0.0, -7.0])[None, :, None]
    second = forward_backward(graph, y + shift, torch.tensor([5]))
    assert second[0].item() - first[0].item() == pytest.approx(shift.sum().item(), abs=5e-3)
    torch.testing.assert_close(first[1], second[1], atol=1e-3, rtol=0)


def test_the_result_does_not_depend_on_the_rest_of_the_batch():
    rng = np.random.default_rng(1)
    graph = random_graph(rng, 12, 6, 40)
    y = torch.from_numpy(rng.normal(size=(13, 7, 6))).float()
    lengths = torch.from_numpy(rng.integers(1, 8, 13))
    together = forward_backward(graph, y, lengths)
    for i in range(13):
        alone = forward_backward(graph, y[i : i + 1], lengths[i : i + 1])
        assert torch.equal(alone[0], together[0][i : i + 1])
        assert torch.equal(alone[1], together[1][i : i + 1])


def test_nonfinite_input_and_misfit_shapes_are_errors():
    graph, y = gold_graph(), gold_likes()
    bad = y.clone()
    bad[0, 2, 1] = math.nan
    with pytest.raises(FloatingPointError, match="sequences"):
        forward_backward(graph, bad, torch.tensor([5]))
    with pytest.raises(ValueError, match="lengths"):
        forward_backward(graph, y, torch.tensor([6]))
    with pytest.raises(ValueError, match="log_likes"):
        forward_backward(graph, y[..., :3], torch.tensor([5]))
    with pytest.raises(ValueError, match="backend"):
        forward_backward(graph, y, torch.tensor([5]), backend="tpu")


def test_saved_graph_loads_equal_and_damage_is_named(tmp_path):
    from chainstitch.utils.errors import UserError

    graph = gold_graph()
    graph.save(tmp_path / "den.npz")
    again = DenominatorGraph.load(tmp_path / "den.npz")
    assert torch.equal(graph.prob, again.prob)
    assert torch.equal(graph.initial, again.initial)
    data = (tmp_path / "den.npz").read_bytes()
    (tmp_path / "den.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"den\.npz"):
        DenominatorGraph.load(tmp_path / "den.npz")
