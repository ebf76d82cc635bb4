"""Phone LM, numerators and the loss: hand counts, brute force, and objective <= 0."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from chainstitch.nnet.chain import (
    ChainLoss,
    NumeratorBatch,
    NumeratorCompiler,
    PdfAcceptor,
    denominator_from_phone_lm,
    estimate_phone_lm,
    forward_backward,
    monophones,
    numerator_forward_backward,
    phone_lm,
)
from chainstitch.nnet.loss import Outputs
from chainstitch.utils.hmm.pdf_acceptor import pdf_acceptor
from chainstitch.utils.hmm.phone_graph import phone_graph
from tests.reference.forward_backward import simple_forward_backward

SIL = 1
PRONUNCIATIONS = {"a": [(2, 3)], "b": [(3, 4), (2,)], "c": [(4,)]}
TEXT = [[1, 2, 3, 1], [2, 3, 3, 4], [1, 3, 4, 4, 1], [2, 3, 4], [4, 2, 1], [1, 2, 4, 1], [2, 2, 3]]


def make_denominator():
    return denominator_from_phone_lm(estimate_phone_lm(TEXT, 3, 2), num_phones=4)


def paths(graph):
    """All phone strings that a PhoneGraph accepts."""
    found, stack = set(), [(0, ())]
    while stack:
        state, said = stack.pop()
        if graph.final[state]:
            found.add(said)
        stack += [(to, (*said, phone)) for phone, to in graph.arcs[state].items()]
    return found


# -- phone LM --------------------------------------------------------------------------------------


def test_bigram_probabilities_are_relative_frequencies():
    lm = estimate_phone_lm([[1, 2], [1, 1]], order=2, no_prune_order=2)
    assert lm.log_prob([1, 2]) == pytest.approx(math.log(1.0 * (1 / 3) * 1.0))
    assert lm.log_prob([1, 1]) == pytest.approx(math.log(1.0 * (1 / 3) * (1 / 3)))
    assert lm.log_prob([2]) == -math.inf


def test_every_state_sums_to_one_before_and_after_pruning():
    for extra in (1000, 3, 0):
        lm = estimate_phone_lm(TEXT, 4, 3, num_extra_states=extra)
        for arcs, final in zip(lm.arcs, lm.final, strict=True):
            assert sum(p for _, p, _ in arcs) + final == pytest.approx(1.0)


def test_pruning_reaches_the_target_and_keeps_every_seen_sentence_possible():
    full = estimate_phone_lm(TEXT, 4, 3)
    basic = {h[-2:] for h in full.histories}
    pruned = estimate_phone_lm(TEXT, 4, 3, num_extra_states=2)
    assert len(pruned.histories) <= max(len(basic) + 2, len(basic))
    assert len(pruned.histories) < len(full.histories)
    loss = [full.log_prob(s) - pruned.log_prob(s) for s in TEXT]
    assert all(math.isfinite(x) for x in loss)
    assert sum(loss) >= 0  # maximum likelihood can only lose


def test_an_absurd_size_is_refused_before_anything_is_merged(monkeypatch):
    monkeypatch.setattr(phone_lm, "MAX_STATES", 20)
    monkeypatch.setattr(phone_lm, "_prune", None)  # would fail if it were reached
    with pytest.raises(ValueError, match=r"phone LM: 2\d states .* GB in each thread"):
        estimate_phone_lm(TEXT, 4, 3, num_extra_states=1000)
    monkeypatch.undo()
    monkeypatch.setattr(phone_lm, "MAX_STATES", 20)
    assert len(estimate_phone_lm(TEXT, 4, 3, num_extra_states=1).histories) <= 20


def test_unigram_order_is_allowed():
    lm = estimate_phone_lm([[1, 2], [2]], order=1, no_prune_order=1)
    assert lm.log_prob([2]) == pytest.approx(math.log(2 / 5 * 2 / 5))


def test_no_text_is_an_error():
    with pytest.raises(ValueError, match="no training sentence"):
        estimate_phone_lm([])


# -- the denominator graph -------------------------------------------------------------------------


def test_graph_gives_a_pdf_string_the_lm_probability_times_the_topology():
    lm = estimate_phone_lm(TEXT, 3, 2)
    graph = denominator_from_phone_lm(lm, 4)
    # phones 2 3 1, durations 2 1 3: entry loop | entry | entry loop loop
    pdfs = [2, 3, 4, 0, 1, 1]
    scores = torch.full((1, 6, 8), -60.0)
    for t, pdf in enumerate(pdfs):
        scores[0, t, pdf] = 0.0
    arcs = {
        (s, n): (d, p)
        for s, d, n, p in zip(
            graph.src.tolist(),
            graph.dst.tolist(),
            graph.pdf.tolist(),
            graph.prob.tolist(),
            strict=True,
        )
    }
    state, product = 0, 1.0
    for pdf in pdfs:
        state, p = arcs[state, pdf]
        product *= p
    lm_part = lm.log_prob([2, 3, 1]) - math.log(lm.final[list(lm.histories).index((3, 1))])
    assert product == pytest.approx(math.exp(lm_part) * 0.5**5)


def test_graph_is_deterministic_and_states_without_final_sum_to_at_most_one():
    graph = make_denominator()
    keys = list(zip(graph.src.tolist(), graph.pdf.tolist(), strict=True))
    assert len(keys) == len(set(keys))
    total = torch.zeros(graph.num_states, dtype=torch.float64).index_add_(0, graph.src, graph.prob)
    assert (total <= 1 + 1e-12).all()


# -- phone graphs ----------------------------------------------------------------------------------


def test_phone_graph_accepts_all_pronunciations_with_optional_silence():
    graph = phone_graph(["a", "b"], PRONUNCIATIONS, SIL)
    s = [(), (SIL,)]
    wanted = {x + (2, 3) + y + p + z for x in s for y in s for z in s for p in [(3, 4), (2,)]}
    assert paths(graph) == wanted
    assert graph.min_frames == 3


def test_phone_graph_without_silence_phone():
    assert paths(phone_graph(["a", "c"], PRONUNCIATIONS, None)) == {(2, 3, 4)}


def test_ambiguous_transcripts_count_each_phone_string_once():
    # "ab"+"c" and "a"+"bc" style: x y | z  and  x | y z spell the same phones
    prons = {"u": [(2, 3), (2,)], "v": [(4,), (3, 4)]}
    graph = phone_graph(["u", "v"], prons, None)
    assert paths(graph) == {(2, 3, 4), (2, 3, 3, 4), (2, 4)}
    assert all(len(row) == len(set(row)) for row in graph.arcs)


# -- numerators ------------------------------------------------------------------------------------


def compiled(words, denominator):
    phones = phone_graph(words, PRONUNCIATIONS, SIL)
    return NumeratorCompiler(denominator).compile(pdf_acceptor(phones, monophones(4)))


def brute_force(words, denominator, y):
    """Sum over all phone strings, durations and start states of the denominator's weights."""
    arcs = {(s, n): (d, p) for s, d, n, p in zip(
        denominator.src.tolist(), denominator.dst.tolist(), denominator.pdf.tolist(),
        denominator.prob.tolist(), strict=True)}  # fmt: skip

    def durations(count, frames):
        if count == 1:
            yield (frames,)
            return
        for first in range(1, frames - count + 2):
            for rest in durations(count - 1, frames - first):
                yield (first, *rest)

    total = 0.0
    for string in paths(phone_graph(words, PRONUNCIATIONS, SIL)):
        if len(string) > len(y):
            continue
        for lengths in durations(len(string), len(y)):
            pdfs = [
                2 * (p - 1) + (k > 0)
                for p, n in zip(string, lengths, strict=True)
                for k in range(n)
            ]
            for start, initial in enumerate(denominator.initial.tolist()):
                value, state = initial, start
                for t, pdf in enumerate(pdfs):
                    if (state, pdf) not in arcs:
                        value = 0.0
                        break
                    state, p = arcs[state, pdf]
                    value *= p * math.exp(y[t, pdf])
                total += value
    return math.log(total) if total else -math.inf


@pytest.mark.parametrize("words", [["a"], ["a", "b"], ["c"], ["b", "c"]])
def test_numerator_is_the_sum_over_its_paths_in_the_denominator(words):
    denominator = make_denominator()
    y = np.random.default_rng(0).normal(size=(6, 8)).astype(np.float32)
    log_z, posteriors = numerator_forward_backward(
        NumeratorBatch([compiled(words, denominator)]), torch.from_numpy(y)[None], torch.tensor([6])
    )
    assert log_z.item() == pytest.approx(brute_force(words, denominator, y.astype(float)), abs=1e-6)
    np.testing.assert_allclose(posteriors.sum(2).numpy(), 1.0, atol=1e-6)


def twin(graph, y):
    """The dull forward-backward on a numerator graph."""
    start = np.zeros(len(graph.final))
    start[0] = 1.0
    return simple_forward_backward(
        graph.src, graph.dst, graph.pdf, np.exp(graph.log_prob), start, y.astype(float), 0.0,
        graph.final.astype(float),
    )  # fmt: skip


def test_numerator_posteriors_agree_with_the_twin():
    denominator = make_denominator()
    graph = compiled(["a", "b"], denominator)
    y = np.random.default_rng(1).normal(scale=4, size=(9, 8)).astype(np.float32)
    log_z, posteriors = numerator_forward_backward(
        NumeratorBatch([graph]), torch.from_numpy(y)[None], torch.tensor([9])
    )
    wanted_z, wanted = twin(graph, y)
    assert log_z.item() == pytest.approx(wanted_z, abs=1e-8)
    np.testing.assert_allclose(posteriors[0].numpy(), wanted, atol=1e-6)


def test_gold_numerator_with_allowed_pdfs_per_frame():
    # kaldi-facts 5.4: the denominator's own graph restricted to some pdfs in every frame
    from tests.nnet.chain.test_forward_backward import gold_graph, gold_likes

    graph, y = gold_graph(), gold_likes()
    allowed = [{0, 1}, {1, 2}, {2}, {0, 2, 3}, {1}]
    arcs = [dict.fromkeys(sorted(pdfs), t + 1) for t, pdfs in enumerate(allowed)]
    acceptor = PdfAcceptor([*arcs, {}], [False] * 5 + [True], 5)
    numerator = NumeratorCompiler(graph).compile(acceptor)
    value, _ = numerator_forward_backward(NumeratorBatch([numerator]), y, torch.tensor([5]))
    assert value.item() == pytest.approx(-1.42799866, abs=1e-6)
    den, _ = forward_backward(graph, y, torch.tensor([5]), 0.1)
    assert value.item() - den.item() == pytest.approx(-2.96050026, abs=1e-6)


def test_a_transcript_the_denominator_cannot_say_has_no_graph():
    denominator = denominator_from_phone_lm(estimate_phone_lm([[2, 3]], 2, 2), 4)
    assert compiled(["c"], denominator) is None


# -- the loss --------------------------------------------------------------------------------------


def test_objective_is_never_positive_and_gradient_matches_finite_differences():
    denominator = make_denominator()
    batch = NumeratorBatch([compiled(["a", "b"], denominator), compiled(["c"], denominator)])
    loss = ChainLoss(denominator, leaky=0.1, output_l2=1e-2)
    torch.manual_seed(0)
    lengths, weights = torch.tensor([7, 4]), torch.tensor([1.0, 0.5])
    for scale in (0.1, 1.0, 10.0):
        y = (torch.randn(2, 7, 8) * scale).requires_grad_()
        outcome = loss.outcome(Outputs(y, lengths), batch, weights)
        assert (outcome.objective <= 1e-6).all()
        outcome.value.backward()
        assert not y.grad[1, 4:].any()
        direction = torch.randn_like(y)
        step = 1e-2
        with torch.no_grad():
            high, low = (loss(y + s * step * direction, lengths, batch, weights) for s in (1, -1))
        slope = (high - low).item() / (2 * step)
        assert slope == pytest.approx((y.grad * direction).sum().item(), rel=2e-3, abs=2e-3)


def test_outputs_of_ten_thousand_keep_the_numerator_exact():
    denominator = make_denominator()
    batch = NumeratorBatch([compiled(["a"], denominator)])
    y = torch.randn(1, 6, 8) * 1e4
    log_z, posteriors = numerator_forward_backward(batch, y, torch.tensor([6]))
    assert torch.isfinite(log_z).all()
    np.testing.assert_allclose(posteriors.sum(2).numpy(), 1.0, atol=1e-5)


def test_a_sequence_too_short_for_its_transcript_is_an_error_with_its_number():
    denominator = make_denominator()
    batch = NumeratorBatch([compiled(["c"], denominator), compiled(["a"], denominator)])
    with pytest.raises(ValueError, match=r"sequences \[1\]"):
        ChainLoss(denominator)(torch.zeros(2, 3, 8), torch.tensor([3, 1]), batch)
