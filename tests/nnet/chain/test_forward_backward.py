"""The denominator: Kaldi's gold numbers, the naive twin, and what holds of any forward-backward."""

from __future__ import annotations

import math
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chainstitch.nnet.chain import DenominatorGraph, cpu, forward_backward
from chainstitch.nnet.chain.forward_backward import counted
from tests.reference.forward_backward import enumerate_log_z, simple_forward_backward

# the Triton kernel on a GPU if there is one, else under Triton's interpreter (conftest.py)
GPU = pytest.param(
    "gpu",
    marks=pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed"),
)
BACKENDS = ("cpu", "reference")
ALL = ("cpu", "reference", GPU)
PLACE = "cuda" if torch.cuda.is_available() else "cpu"
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


def run(graph, y, lengths, leaky, backend):
    """forward_backward where the back end can run."""
    log_z, posteriors = forward_backward(
        graph, y.to(PLACE if backend == "gpu" else "cpu"), lengths, leaky, backend
    )
    return log_z.cpu(), posteriors.cpu()


def twin(graph, y, leaky):
    columns = (graph.src, graph.dst, graph.pdf, graph.prob)
    return simple_forward_backward(
        *(c.numpy() for c in columns), graph.initial.numpy(), y.double().numpy(), leaky
    )


def test_gold_initial_probabilities():
    np.testing.assert_allclose(
        gold_graph().initial.numpy(), [0.29321376, 0.34493343, 0.36185281], atol=1e-8
    )


@pytest.mark.parametrize("backend", ALL)
@pytest.mark.parametrize(("leaky", "log_z"), [(1e-5, 0.94367990), (0.1, 1.53250160)])
def test_gold_log_z(leaky, log_z, backend):
    value, _ = run(gold_graph(), gold_likes(), torch.tensor([5]), leaky, backend)
    assert value.item() == pytest.approx(log_z, abs=1e-6)


@pytest.mark.parametrize("backend", ALL)
def test_gold_posteriors(backend):
    _, posteriors = run(gold_graph(), gold_likes(), torch.tensor([5]), 0.1, backend)
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


@pytest.mark.parametrize(
    ("seed", "backend"),
    [(seed, backend) for backend in BACKENDS for seed in range(20)]
    # Triton's interpreter is slow
    + [pytest.param(seed, "gpu", marks=GPU.marks) for seed in range(20 if PLACE == "cuda" else 6)],
)
def test_agrees_with_the_naive_twin_on_random_ragged_batches(seed, backend):
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
    log_z, posteriors = run(graph, padded, lengths, leaky, backend)
    for i, n in enumerate(lengths.tolist()):
        wanted_z, wanted = twin(graph, y[i, :n], leaky)
        assert log_z[i].item() == pytest.approx(wanted_z, rel=1e-5, abs=1e-5)
        np.testing.assert_allclose(posteriors[i, :n].numpy(), wanted, atol=2e-5)
        assert not posteriors[i, n:].any()


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.integers(0, 10**6), st.integers(1, 200), st.integers(1, 3000), st.integers(1, 60),
    st.sampled_from([0.0, 1e-5, 0.1]), st.sampled_from([0.1, 3.0, 20.0]),
)  # fmt: skip
def test_back_ends_agree_on_any_graph(seed, states, arcs, pdfs, leaky, scale):
    """Dead ends, unreachable states, self-loops, parallel arcs, columns of -inf, ragged lengths."""
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, states, (2, arcs))
    src[0], dst[0] = 0, 0  # that some path goes on for ever
    pdf, prob = rng.integers(0, pdfs, arcs), rng.uniform(1e-3, 1, arcs)
    tensors = map(torch.from_numpy, (src, dst, pdf, prob))
    graph = DenominatorGraph.from_arcs(*tensors, num_pdfs=pdfs)
    batch, frames = int(rng.integers(1, 20)), int(rng.integers(1, 9))
    lengths = torch.from_numpy(rng.integers(1, frames + 1, batch))
    y = torch.from_numpy(rng.normal(scale=scale, size=(batch, frames, pdfs))).float()
    forbidden = torch.from_numpy(rng.random(pdfs) < 0.2)
    forbidden[pdf[0]] = False
    y[..., forbidden] = -math.inf
    for i, n in enumerate(lengths):
        y[i, n:] = math.nan
    wanted = forward_backward(graph, y, lengths, leaky, "reference")
    _assert_near(run(graph, y, lengths, leaky, "cpu"), wanted)
    if find_spec("triton") and (PLACE == "cuda" or seed % 5 == 0):
        if PLACE == "cpu":  # the interpreter takes seconds a sequence
            y, lengths = y[:2, :3], lengths[:2].clamp(max=3)
            wanted = forward_backward(graph, y, lengths, leaky, "reference")
        _assert_near(run(graph, y, lengths, leaky, "gpu"), wanted)


def _assert_near(found, wanted):
    error = (found[0] - wanted[0]).abs()
    assert bool((error <= 1e-5 * wanted[0].abs().clamp(min=1)).all())
    torch.testing.assert_close(found[1], wanted[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("backend", ["cpu", GPU])
def test_sequences_beyond_floats_go_to_the_log_domain_and_are_counted(backend):
    graph = DenominatorGraph.from_arcs(*map(torch.tensor, (SRC, DST, PDF, PROB)), num_pdfs=5)
    y = torch.zeros(3, 5, 5)
    y[..., :4] = gold_likes()
    y[1, 2, 4] = 1e4  # a pdf that no arc has, so far above the others that their floats vanish
    y[2, :, 4] = 60.0  # far, but not too far
    wanted = forward_backward(gold_graph(), gold_likes(), torch.tensor([5]))
    log_z, posteriors, redone = counted(
        graph, y.to(PLACE if backend == "gpu" else "cpu"), torch.full((3,), 5), backend=backend
    )
    log_z, posteriors = log_z.cpu(), posteriors.cpu()
    assert redone == 1
    torch.testing.assert_close(log_z, wanted[0].expand(3), atol=2e-5, rtol=0)
    torch.testing.assert_close(posteriors[..., :4], wanted[1].expand(3, -1, -1), atol=1e-5, rtol=0)
    assert not posteriors[..., 4].any()


@pytest.mark.parametrize("backend", ["cpu", GPU])
def test_too_few_digits_are_noticed_too(backend):
    place = PLACE if backend == "gpu" else "cpu"
    # the path that is left after frame 1 was a denormal float in frame 0, of three digits
    prob, initial = torch.tensor([1.0, 1.3e-5, 1.0]).double(), torch.tensor([1.0, 0, 0]).double()
    columns = map(torch.tensor, ([0, 0, 2], [1, 2, 2], [0, 0, 0]))
    thin = DenominatorGraph(*columns, prob, initial, 0, 2)
    y = torch.tensor([[[0.0, 85.0], [0.0, -9.0]]], device=place)
    log_z, _, redone = counted(thin, y, torch.tensor([2]), 0.0, backend)
    assert redone == 1 and log_z.item() == pytest.approx(math.log(1.3e-5), abs=1e-6)
    # no mass is lost, but the way back from a state that nothing reaches grows beyond all floats
    src, dst, pdf = ([0, 1], [0, 1], [0, 1])
    prob, initial = torch.tensor([0.5, 0.5]).double(), torch.tensor([1.0, 0.0]).double()
    apart = DenominatorGraph(*map(torch.tensor, (src, dst, pdf)), prob, initial, 0, 2)
    y = torch.tensor([0.0, 60.0], device=place).expand(1, 4, 2)
    log_z, posteriors, redone = counted(apart, y, torch.tensor([4]), 0.0, backend)
    assert redone == 1 and log_z.item() == pytest.approx(4 * math.log(0.5), abs=1e-6)
    assert posteriors[0].cpu().tolist() == [[1.0, 0.0]] * 4


def test_a_sequence_longer_than_any_path_is_an_error():
    prob, initial = torch.tensor([1.0]).double(), torch.tensor([1.0, 0.0]).double()
    graph = DenominatorGraph(*map(torch.tensor, ([0], [1], [0])), prob, initial, 0, 1)
    forward_backward(graph, torch.zeros(1, 1, 1), torch.tensor([1]), leaky=0)
    for backend in BACKENDS:
        with pytest.raises(FloatingPointError, match=r"sequences \[1\]"):
            forward_backward(graph, torch.zeros(2, 2, 1), torch.tensor([1, 2]), 0, backend)


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


@pytest.mark.parametrize("openmp", [True, False])
def test_the_result_does_not_depend_on_the_threads(monkeypatch, openmp):
    if not openmp:
        monkeypatch.setattr(cpu, "_parallel", lambda: None)
    rng = np.random.default_rng(2)
    graph = random_graph(rng, 30, 20, 100)
    y = torch.from_numpy(rng.normal(size=(70, 9, 20))).float()
    lengths = torch.from_numpy(rng.integers(1, 10, 70))
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(forward_backward(graph, y, lengths))
    finally:
        torch.set_num_threads(before)
    for log_z, posteriors in found[1:]:
        assert torch.equal(log_z, found[0][0]) and torch.equal(posteriors, found[0][1])


@pytest.mark.parametrize("openmp", [True, False])
def test_an_error_in_a_thread_reaches_the_caller_and_the_others_finish(monkeypatch, openmp):
    if not openmp:
        monkeypatch.setattr(cpu, "_parallel", lambda: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    done = []

    def run(i):
        if i == 1:
            raise KeyError("one")
        done.append(i)

    with pytest.raises(KeyError, match="one"):
        cpu.in_threads(run, 2)
    assert done == [0]
    cpu.in_threads(done.append, 3)
    assert sorted(done) == [0, 0, 1, 2]


def test_nonfinite_input_and_misfit_shapes_are_errors():
    graph, y = gold_graph(), gold_likes()
    bad = y.clone()
    bad[0, 2, 1] = math.nan
    for backend in BACKENDS:
        with pytest.raises(FloatingPointError, match="sequences"):
            forward_backward(graph, bad, torch.tensor([5]), backend=backend)
    with pytest.raises(ValueError, match="lengths"):
        forward_backward(graph, y, torch.tensor([6]))
    with pytest.raises(ValueError, match="log_likes"):
        forward_backward(graph, y[..., :3], torch.tensor([5]))
    with pytest.raises(ValueError, match="backend"):
        forward_backward(graph, y, torch.tensor([5]), backend="tpu")


def test_the_gpu_back_end_says_what_it_wants(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ValueError, match="wants tensors on a GPU, found cpu"):
        forward_backward(gold_graph(), gold_likes(), torch.tensor([5]), backend="gpu")
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setitem(sys.modules, "chainstitch.nnet.chain.gpu", None)
    monkeypatch.delattr("chainstitch.nnet.chain.gpu", raising=False)
    with pytest.raises(ValueError, match="pip install triton"):
        forward_backward(gold_graph(), gold_likes(), torch.tensor([5]), backend="gpu")


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
