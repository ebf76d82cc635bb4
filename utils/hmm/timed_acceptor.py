"""From times to pdfs: which pdf strings a chunk of an aligned utterance may have.

What was said when is a phone lattice (phone_lattice.py); an alignment is one with a single path.
Each of its arcs, phone p in input frames b .. e - 1, may have output frame t (one in f input
frames) only if, give or take a tolerance,

    ceil(max(0, b - tolerance) / f) <= t < ceil((e + tolerance) / f)                           (1)

and the strings that are right are those of all paths of the lattice together, each path's phones
one after the other, each phone one frame or more, and each inside its window. The acceptor's states
have a time. It can be cut: a *chunk* of output frames first .. last - 1 begins in whatever can be
there at `first` and ends in whatever can be there at `last`.

A path has no weight here: what was said is known, and how likely it was is all the same. (Kaldi
`chain-supervision.cc`, PhoneLatticeToProtoSupervision, lm-scale 0. There (1) says in which frames a
phone may be, wherever it occurs in the lattice; here each occurrence has its own window, so that
this is a part of that, and the same where no phone is near itself.)

**The search for what is possible.** A *place* is an arc of the lattice, the phone before it and the
guess of what follows (topology.py says why): finitely many, numbered breadth first, 0 being the
beginning. A pass forward over the frames finds the places that can be reached at each, a pass
backward those of them that lead to the end. Both are made once for all chunks of an utterance; the
work is that of frames times the places whose windows hold them. Then the subset construction
(determinise.py) makes a chunk deterministic, for the reason that pdf_acceptor.py gives. An
utterance of 73 output frames takes 0.6 ms with one path and 1.9 ms with a lattice of 2.9 arcs for
each phone of the best path; composed with the denominator 0.9 ms and 3.8 ms, and the graphs have
3.3 kB and 6.2 kB (one core of an AMD EPYC).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from chainstitch.utils.data.phone_lattice import PhoneLattice, from_alignment
from chainstitch.utils.hmm.determinise import determinised
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor
from chainstitch.utils.hmm.topology import Leaves

TOLERANCE = 5  # input frames, Kaldi's default on either side


class TimedAcceptors:
    """The acceptors of the chunks of an utterance.

    Args:
        lattice: what was said when.
        tolerance: input frames by which a phone may begin earlier and end later.

    Attributes:
        frames: output frames, ceil(input frames / subsampling).
    """

    def __init__(
        self, lattice: PhoneLattice, leaves: Leaves, tolerance: int = TOLERANCE,
        subsampling: int = 3,
    ) -> None:  # fmt: skip
        self.frames = -(-lattice.frames // subsampling)
        self._places(lattice, leaves)
        # at[t]: the places that can stand before output frame t, and still reach the end
        self._at = self._possible(lattice, tolerance, subsampling)

    def acceptor(self, first: int = 0, last: int | None = None) -> PdfAcceptor | None:
        """The pdf strings of output frames first .. last - 1, by default of all.

        Returns:
            None if no path fits: phones too short and too many for the tolerance.

        Raises:
            ValueError: the chunk is not inside the utterance.
        """
        last = self.frames if last is None else last
        if not 0 <= first < last <= self.frames:
            raise ValueError(f"alignment: chunk {first}..{last} of {self.frames} output frames")
        at = self._at
        if not at[first]:
            return None

        def steps(item: tuple[int, int]) -> Iterable[tuple[int, float, tuple[int, int]]]:
            t, place = item
            if t == last:
                return
            if place in at[t + 1]:
                yield self._loop[place], 0.0, (t + 1, place)
            for entry, to in self._next[place]:
                if to in at[t + 1]:
                    yield entry, 0.0, (t + 1, to)

        begins = [((first, place), 0.0) for place in sorted(at[first])]
        made = determinised(begins, steps, lambda item: 0.0 if item[0] == last else -math.inf)
        return PdfAcceptor(made.arcs, made.final, last - first)

    def _places(self, lattice: PhoneLattice, leaves: Leaves) -> None:
        """Numbers the places: per place its arc (-1: none yet), its loop pdf, its entries, (pdf,
        place) each; and whether it may be the last."""
        knows_left = leaves.table.shape[0] > 1
        queue: list[tuple[int, int, tuple[int, ...]]] = [(-1, 0, lattice.following(0))]
        index = {queue[0]: 0}
        self._arc, self._loop, self._next, self._final = [], [], [], []
        for arc, left, ahead in queue:
            _, state, phone, _ = lattice.arcs[arc] if arc >= 0 else (0, 0, 0, 0)
            self._arc.append(arc)
            self._loop.append(leaves.loop(left, phone, ahead[0]) if phone else -1)
            self._final.append(0 in ahead)
            entries = []
            for number in lattice.leaving[state]:
                _, to, q, _ = lattice.arcs[number]
                if q not in ahead:
                    continue
                groups = leaves.by_right(phone, q, lattice.following(to))
                for (entry, _), after in groups.items():
                    key = number, phone if knows_left else 0, after
                    if key not in index:
                        index[key] = len(queue)
                        queue.append(key)
                    entries.append((entry, index[key]))
            self._next.append(entries)

    def _possible(self, lattice: PhoneLattice, tolerance: int, subsampling: int) -> list[set[int]]:
        window = []
        for source, target, _, _ in lattice.arcs:  # (1)
            begin, end = lattice.times[source], lattice.times[target]
            low = -(-max(0, begin - tolerance) // subsampling)
            window.append((low, min(self.frames, -(-(end + tolerance) // subsampling))))
        window.append((0, 0))  # of the beginning, whose arc is -1
        low_of, high_of = ([window[arc][k] for arc in self._arc] for k in (0, 1))
        at: list[set[int]] = [{0}]
        for t in range(self.frames):
            ahead = at[-1].union(*([to for _, to in self._next[p]] for p in at[-1]))
            at.append({p for p in ahead if low_of[p] <= t < high_of[p]})
        at[-1] = {p for p in at[-1] if self._final[p]}
        for t in reversed(range(self.frames)):
            after = at[t + 1]
            at[t] = {p for p in at[t] if p in after or any(to in after for _, to in self._next[p])}
        return at


def aligned_acceptor(
    phones: Sequence[int],
    durations: Sequence[int],
    leaves: Leaves,
    first: int = 0,
    last: int | None = None,
    tolerance: int = TOLERANCE,
    subsampling: int = 3,
) -> PdfAcceptor | None:
    """That of an alignment: `TimedAcceptors.acceptor` of the lattice of one path.

    Args:
        phones: from 1; durations: of each, in input frames, at least 1.

    Raises:
        ValueError: phones and durations do not fit, or the chunk is not inside the utterance.
    """
    if len(phones) != len(durations) or not phones or min(durations) < 1 or min(phones) < 1:
        raise ValueError(
            f"alignment: wanted as many durations (>= 1) as phones (>= 1), got {len(durations)} "
            f"for {len(phones)}"
        )
    lattice = from_alignment(zip(phones, durations, strict=True))
    return TimedAcceptors(lattice, leaves, tolerance, subsampling).acceptor(first, last)
