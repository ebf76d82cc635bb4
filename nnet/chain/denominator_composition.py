"""Composing the denominator graph: phone LM and chain topology as one acceptor over pdfs.

With the chain topology (topology.py) a phone p emits its *entry* pdf once and then any number of
*loop* pdfs, each frame continuing with probability 1/2 or leaving with 1/2. Composing the phone LM
with it leaves nothing to search for: a state of the graph is (LM state, phone just entered), and

    (h, p) --loop(p)/0.5--> (h, p)
    (h, p) --entry(q)/ 0.5 P(q|h)--> (h', q)          for every LM arc h --q--> h'
    start  --entry(q)/ P(q|start)--> (h', q)

Epsilon-free and deterministic: at most one arc per state and pdf. (Kaldi reaches an equivalent
graph through FST composition, epsilon removal and minimisation.) Since every LM state except the
start is entered with one phone only when histories are kept, there are about as many graph states
as LM states; fewer when those with the same future are made one (minimise.py).

With a context tree, entry(q) is entry(p, q, r), a leaf that depends on the phone p of the state
that is left and on the phone r that follows, and a state has to know its own loop leaf. r is
guessed (topology.py): the phones that can follow q in h' (the end is one, too) fall into sets R by
the leaves that q has before them; P(R|h') is the sum of P(r|h') over R, and a state (h, p, k, R) is
inside p with loop leaf k, a phone of R to follow:

    (h, p, k, R) --k/0.5--> (h, p, k, R)
    (h, p, k, R) --entry(p, q, R')/ 0.5 P(q|h) P(R'|h') / P(R|h)--> (h', q, loop(p, q, R'), R')

for q in R, and all sets R' of q. So a probability enters as soon as pdfs depend on it, arcs of a
state with its end still add up to one, and a sentence has the phone LM's probability. With context
on the left alone R is everything, P(R|h) = 1. Where q and r share a leaf after p, two arcs of a
state have the same pdf.
"""

from __future__ import annotations

import logging
import math

import torch

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.minimise import minimised
from chainstitch.nnet.chain.phone_lm import END, PhoneLM
from chainstitch.utils.hmm.topology import LOOP_PROBABILITY, Leaves, monophones

logger = logging.getLogger(__name__)


def denominator_from_phone_lm(
    lm: PhoneLM, num_phones: int, leaves: Leaves | None = None
) -> DenominatorGraph:
    """The graph of the module's text, for phones 1..num_phones.

    Args:
        leaves: of a context tree; default: two pdfs a phone, whatever stands around it.

    Raises:
        ValueError: the LM has a phone above num_phones, or the leaves are of other phones.
    """
    tree = leaves or monophones(num_phones)
    if tree.num_phones != num_phones:
        raise ValueError(
            f"denominator graph: leaves of {tree.num_phones} phones for {num_phones} phones"
        )
    highest = max((q for row in lm.arcs for q, _, _ in row), default=0)
    if highest > num_phones:
        raise ValueError(f"denominator graph: phone {highest} is not among the {num_phones} phones")
    # by LM state: what can follow, 0 the end, and its probability
    following = [
        {q: p for q, p, _ in row} | ({END: end} if end else {})
        for row, end in zip(lm.arcs, lm.final, strict=True)
    ]

    def mass(h: int, rights: tuple[int, ...]) -> float:
        whole = len(rights) == len(following[h])  # then there is nothing to round
        return 1.0 if whole else math.fsum(following[h][r] for r in rights)

    # (LM state, phone entered, its loop pdf, phones one of which follows) -> graph state
    start_key = (0, 0, -1, tuple(sorted(following[0])))
    index = {start_key: 0}
    queue = [start_key]
    arcs: list[tuple[int, int, int, float]] = []
    final: list[float] = []
    for state, (h, p, loop, rights) in enumerate(queue):
        leave, share = 1.0 - LOOP_PROBABILITY if p else 1.0, mass(h, rights)
        if p:
            arcs.append((state, state, loop, LOOP_PROBABILITY))
        for q, probability, to in lm.arcs[h]:
            if q not in rights:
                continue
            for (entry, own), ahead in tree.by_right(p, q, following[to]).items():
                key = (to, q, own, ahead)
                if key not in index:
                    index[key] = len(queue)
                    queue.append(key)
                # divided first, so that a phone that is alone in its set has exactly 1
                arcs.append(
                    (state, index[key], entry, leave * (probability / share) * mass(to, ahead))
                )
        final.append(leave * (lm.final[h] / share) if END in rights else 0.0)
    states = len(final)
    arcs, final, start = minimised(arcs, final)
    logger.info(
        "denominator: %d states, %d of them after minimisation, %d arcs, %d pdfs",
        states, len(final), len(arcs), tree.num_pdfs,
    )  # fmt: skip
    src, dst, pdf, prob = zip(*arcs, strict=True)
    graph = DenominatorGraph.from_arcs(
        torch.tensor(src),
        torch.tensor(dst),
        torch.tensor(pdf),
        torch.tensor(prob, dtype=torch.float64),
        torch.tensor(final, dtype=torch.float64),
        start,
        tree.num_pdfs,
    )
    graph.leaves = leaves
    return graph
