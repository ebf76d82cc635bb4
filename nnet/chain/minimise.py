"""States of a denominator graph with the same future made one, exactly; the work is kaldifst's.

The phone LM keeps histories apart that need not be: where a word goes on in one way only, all
histories that lead into it go on alike. Two states whose arcs have the same pdfs, the same
probabilities and lead to states that are the same again give every pdf string the same probability,
so one of them will do. (Kaldi minimises after pushing, chain-den-graph.cc; nothing is pushed here,
as probabilities have to stay where they are: every state is final.)

kaldifst minimises unweighted deterministic acceptors. So an arc's label stands for its pdf, its
probability and, where a state has several arcs with both the same, which of them it is: otherwise
two arcs into states that become one would become one arc, and its probability be lost. A final
probability, be it 0, is an arc, too, into an extra state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

Arc = tuple[int, int, int, float]  # from, to, pdf, probability


def minimised(
    arcs: Iterable[Arc], final: list[float], start: int = 0
) -> tuple[list[Arc], list[float], int]:
    """The smallest graph with the same probabilities: arcs, final probabilities and start.

    Args:
        arcs: between states 0..len(final) - 1.
        final: of each state.
    """
    import kaldifst

    states = len(final)
    fst = kaldifst.StdVectorFst()
    fst.reserve_states(states + 1)
    for _ in range(states + 1):
        fst.add_state()
    fst.start = start
    fst.set_final(states, 0.0)
    number: dict[tuple[int, float, int], int] = {}  # (pdf, -1 for an end; probability; which)
    seen: Counter[tuple[int, int, float]] = Counter()
    ends = ((i, states, -1, p) for i, p in enumerate(final))  # of 0, too: no state is a dead end
    for src, dst, pdf, p in (*arcs, *ends):
        which = seen[src, pdf, p]
        seen[src, pdf, p] += 1
        label = number.setdefault((pdf, p, which), len(number) + 1)
        fst.add_arc(src, kaldifst.StdArc(label, label, 0.0, dst))
    kaldifst.minimize(fst)
    meaning = list(number)
    kept: list[Arc] = []
    ending = [0.0] * fst.num_states
    (end,) = (s for s in range(fst.num_states) if fst.num_arcs(s) == 0)
    for state in range(fst.num_states):
        for arc in kaldifst.ArcIterator(fst, state):
            pdf, p, _ = meaning[arc.ilabel - 1]
            if pdf < 0:
                ending[state] = p
            else:
                kept.append((state, arc.nextstate, pdf, p))
    # the extra state goes: move the last one into its place

    def renumbered(state: int) -> int:
        return end if state == fst.num_states - 1 else state

    kept = [(renumbered(s), renumbered(d), pdf, p) for s, d, pdf, p in kept]
    start = renumbered(fst.start)
    ending[end] = ending[-1]
    return kept, ending[:-1], start
