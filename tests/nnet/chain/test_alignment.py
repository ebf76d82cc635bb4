"""Numerators of alignments and of context trees: the strings they allow, chunks, objective <= 0."""

from __future__ import annotations

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    Leaves,
    NumeratorBatch,
    NumeratorCompiler,
    aligned_acceptor,
    denominator_from_phone_lm,
    estimate_phone_lm,
    monophones,
    numerator_forward_backward,
)
from chainstitch.nnet.loss import Outputs
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from tests.leaves import random_leaves
from tests.nnet.chain.test_numerator import PRONUNCIATIONS, SIL, TEXT, paths, twin
from tests.reference.numerator import aligned, log_z, spoken

PHONES = 4


def make_denominator(leaves):
    return denominator_from_phone_lm(estimate_phone_lm(TEXT, 3, 2), PHONES, leaves)


def accepted(acceptor, frames):
    """All pdf strings of `frames` frames."""
    found, front = set(), [(0, ())]
    for _ in range(frames):
        front = [(to, (*s, pdf)) for n, s in front for pdf, to in acceptor.arcs[n].items()]
    found = [s for n, s in front if acceptor.final[n]]
    assert len(found) == len(set(found))  # deterministic
    return set(found)


LEAVES = [
    monophones(PHONES),
    *(random_leaves(seed, pdfs, PHONES) for seed, pdfs in ((0, 30), (1, 5), (2, 2))),
    *(random_leaves(seed, pdfs, PHONES, 3) for seed, pdfs in ((3, 200), (4, 40), (5, 3))),
]
ALIGNMENTS = [
    ([SIL, 2, 3, SIL], [7, 3, 4, 6]),
    ([2, 3], [1, 1]),
    ([4, 4, 4], [3, 3, 3]),
    ([SIL, 2, 3, 3, 4], [2, 5, 1, 1, 6]),
    ([3], [11]),
]


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("words", [["a"], ["b", "c"], ["a", "b"]])
def test_transcripts_allow_what_their_phone_strings_say(leaves, words):
    graph = phone_graph(words, PRONUNCIATIONS, SIL)
    acceptor = pdf_acceptor(graph, leaves)
    for frames in (2, 5):
        wanted = set().union(*(spoken(s, frames, leaves) for s in paths(graph)))
        assert accepted(acceptor, frames) == wanted


@pytest.mark.parametrize("leaves", LEAVES)
@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize("tolerance", [0, 2, 5])
def test_alignments_allow_what_their_times_say(leaves, alignment, tolerance):
    acceptor = aligned_acceptor(*alignment, leaves, tolerance=tolerance)
    wanted = aligned(*alignment, leaves, tolerance, 3)
    if acceptor is None:
        assert not wanted
    else:
        assert accepted(acceptor, acceptor.frames) == wanted


@pytest.mark.parametrize("leaves", LEAVES)
def test_chunks_allow_the_pieces_of_what_the_utterance_allows(leaves):
    phones, durations = [SIL, 2, 3, 3, 4, SIL], [6, 4, 3, 5, 4, 5]
    whole = aligned(phones, durations, leaves, 3, 3)
    for first, last in ((0, 4), (3, 7), (2, 9), (8, 9), (0, 9)):
        chunk = aligned_acceptor(phones, durations, leaves, first, last, tolerance=3)
        assert accepted(chunk, last - first) == {s[first:last] for s in whole}


def test_alignments_that_do_not_fit_are_refused():
    leaves = monophones(PHONES)
    assert aligned_acceptor([2, 3, 4], [1, 1, 1], leaves, tolerance=0) is None  # one output frame
    for phones, durations in (([2], [1, 2]), ([2], [0]), ([0], [3]), ([], [])):
        with pytest.raises(ValueError, match="durations"):
            aligned_acceptor(phones, durations, leaves)
    with pytest.raises(ValueError, match=r"chunk 2\.\.9 of 4 output frames"):
        aligned_acceptor([2], [10], leaves, 2, 9)
    for shape in ((3, 4, 1, 2), (5, 4, 4, 2), (5, 4, 5, 3), (5, 4, 2)):
        with pytest.raises(ValueError, match=r"\(L, P, R, 2\), L and R 1 or P \+ 1"):
            Leaves(np.zeros(shape, int), 1)
    with pytest.raises(ValueError, match=r"0\.\.4, got 0\.\.5"):
        Leaves(np.arange(6).reshape(1, 3, 1, 2), 5)
    with pytest.raises(ValueError, match="leaves of 4 phones for 3"):
        denominator_from_phone_lm(estimate_phone_lm([[1]], 2, 2), 3, leaves)


def random_batch(seed, leaves, timed):
    """Numerators of several kinds with their allowed strings, lengths and outputs."""
    rng = np.random.default_rng(seed)
    denominator = make_denominator(leaves)
    compiler = NumeratorCompiler(denominator)
    graphs, strings, lengths = [], [], []
    for number in range(4):
        if timed[number % len(timed)]:
            phones = TEXT[int(rng.integers(len(TEXT)))]
            durations = rng.integers(1, 7, len(phones)).tolist()
            frames = -(-sum(durations) // 3)
            first = int(rng.integers(0, max(1, frames - 2)))
            acceptor = aligned_acceptor(phones, durations, leaves, first, frames)
            wanted = {s[first:] for s in aligned(phones, durations, leaves, 5, 3)}
            length = frames - first
        else:
            graph = phone_graph([["a"], ["c"], ["a", "c"]][number % 3], PRONUNCIATIONS, SIL)
            acceptor, length = pdf_acceptor(graph, leaves), int(rng.integers(4, 8))
            wanted = set().union(*(spoken(s, length, leaves) for s in paths(graph)))
        compiled = None if acceptor is None else compiler.compile(acceptor)
        # the phone LM may say none of it, or, with leaves in common, by accident a few lengths
        possible = math.isfinite(log_z(wanted, denominator, np.zeros((length, leaves.num_pdfs))))
        if compiled is not None and possible:
            graphs.append(compiled)
            strings.append(wanted)
            lengths.append(length)
    y = rng.normal(scale=2, size=(len(graphs), max(lengths) + 1, leaves.num_pdfs))
    return denominator, graphs, strings, torch.tensor(lengths), torch.from_numpy(y).float()


KINDS = ((True,), (False,), (True, False))
CASES = [(3 * i + j, leaves, k) for i, leaves in enumerate(LEAVES) for j, k in enumerate(KINDS)]


@pytest.mark.parametrize(("seed", "leaves", "timed"), CASES)
def test_log_z_is_the_sum_over_the_allowed_strings_once_each(seed, leaves, timed):
    denominator, graphs, strings, lengths, y = random_batch(seed, leaves, timed)
    found, posteriors = numerator_forward_backward(NumeratorBatch(graphs), y, lengths)
    loss = ChainLoss(denominator, leaky=0.1)
    outcome = loss.outcome(Outputs(y, lengths), NumeratorBatch(graphs))
    assert (outcome.objective <= 1e-6).all()
    for i, n in enumerate(lengths.tolist()):
        assert found[i].item() == pytest.approx(
            log_z(strings[i], denominator, y[i, :n].double().numpy()), abs=1e-6
        )
        _, wanted = twin(graphs[i], y[i, :n].numpy())
        np.testing.assert_allclose(posteriors[i, :n].numpy(), wanted, atol=1e-6)
        assert not posteriors[i, n:].any()


@pytest.mark.skipif(find_spec("triton") is None, reason="triton is not installed")
@pytest.mark.parametrize(("seed", "leaves", "timed"), CASES)
def test_the_gpu_s_numerators_are_the_cpu_s(seed, leaves, timed):
    from chainstitch.nnet.chain import gpu_numerator

    place = "cuda" if torch.cuda.is_available() else "cpu"
    _, graphs, _, lengths, y = random_batch(seed, leaves, timed)
    y[0, 0, 0] = -math.inf
    batch = NumeratorBatch(graphs)
    lengths[-1] = lengths[-1] if graphs[-1].frames else 1  # none may fit, and then log Z is -inf
    wanted = numerator_forward_backward(batch, y, lengths, "cpu")
    found = gpu_numerator.numerator(batch.layout, y.to(place), lengths)
    torch.testing.assert_close(found[0].cpu(), wanted[0], atol=1e-9, rtol=1e-12)
    torch.testing.assert_close(found[1].cpu(), wanted[1], atol=1e-6, rtol=0)


def test_an_alignment_of_another_length_is_an_error_with_its_name():
    leaves = monophones(PHONES)
    graph = NumeratorCompiler(make_denominator(leaves)).compile(
        aligned_acceptor([2, 3], [6, 6], leaves)
    )
    batch = NumeratorBatch([graph, graph], ["one", "two"])
    with pytest.raises(ValueError, match="two are of other lengths, the first of 4 frames for 5"):
        numerator_forward_backward(batch, torch.zeros(2, 5, 8), torch.tensor([4, 5]))
