"""When each word of a path was said, from its pdfs and the words' pronunciations.

In a determinised graph a word's label stands where the word becomes certain, not where it begins.
But the words are known, in their order, and so is the pdf of each frame. So the pdfs are split into
the words' pronunciations, with silence between any two: a word that begins at frame b after the
phone l may be over at each frame e for which the pdfs b .. e - 1 are, phone by phone, one entry
leaf and any number of loop leaves. Those of its last phone may also say which phones can follow.

This is exact for any tree. Where it is not unique (two ways to say a word, or leaves that belong to
several phones or to both entry and loop), all ways are true to the path; the one is taken in which
the last word but one is over first, then the one before it, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from chainstitch.utils.decode.graph import Graph

Word = TypeVar("Word", int, str)
# a frame where a word or a silence is over, its last phone, and those that may follow (0: the end)
Place = tuple[int, int, tuple[int, ...]]


def word_times(
    pdfs: Sequence[int], labels: Sequence[int], graph: Graph, complete: bool = True
) -> list[tuple[int, int]]:
    """(first frame, last frame + 1) of each word of a path.

    Args:
        pdfs: one per frame.
        labels: the words' ids, in order.
        complete: whether the path ends with a word or a silence; if not, the last word may be cut
            short, and phones of a word that is not certain yet may follow.

    Raises:
        ValueError: the pdfs do not spell the words: pdfs and labels are not of one path.
    """
    # reach[j]: where word j - 1 can be over -> (its first frame, where the word before it was over)
    start: Place = (0, 0, _everything(graph))
    reach: list[dict[Place, tuple[int, Place]]] = [{start: (0, start)}]
    for n, label in enumerate(labels):
        cut = not complete and n == len(labels) - 1
        ends: dict[Place, tuple[int, Place]] = {}
        for before in sorted(reach[-1]):
            begins = [before, *_ends(pdfs, before, (graph.silence,), graph)]
            for begin in begins:
                for pron in graph.pronunciations[label]:
                    for end in _ends(pdfs, begin, pron, graph, cut):
                        ends.setdefault(end, (begin[0], before))
        reach.append(ends)
    fitting = [place for place in reach[-1] if not complete or _over(pdfs, place, graph)]
    if not fitting:
        raise ValueError(f"pdfs {list(pdfs)} do not spell the words {list(labels)}")
    place, times = max(fitting), []
    for ends in reversed(reach[1:]):
        begin_frame, before = ends[place]
        times.append((begin_frame, place[0]))
        place = before
    return times[::-1]


def _over(pdfs: Sequence[int], place: Place, graph: Graph) -> bool:
    """Whether nothing follows, or one silence."""
    ends = [place, *_ends(pdfs, place, (graph.silence,), graph)]
    return any(frame == len(pdfs) and 0 in rights for frame, _, rights in ends)


def _everything(graph: Graph) -> tuple[int, ...]:
    """All that may follow a phone."""
    return tuple(range(graph.leaves.table.shape[1] + 1))


def _ends(
    pdfs: Sequence[int], place: Place, phones: tuple[int, ...], graph: Graph, cut: bool = False
) -> Iterator[Place]:
    """Where phones that begin at a place can be over; with `cut`, inside them at the end, too."""
    (begin, left, rights), leaves = place, graph.leaves
    if phones[0] not in rights:
        return
    *lefts, before = (left, *phones[:-1])
    known = [leaves.pdfs(*c) for c in zip(lefts, phones[:-1], phones[1:], strict=True)]
    for own, following in leaves.by_right(before, phones[-1], _everything(graph)).items():
        for end in _ends_of(pdfs, begin, [*known, own], graph, cut):
            yield end, phones[-1], following


def _ends_of(
    pdfs: Sequence[int], begin: int, phones: Sequence[tuple[int, int]], graph: Graph, cut: bool
) -> Iterator[int]:
    """The same, of phones given as (entry, loop)."""
    last = len(phones) - 1
    inside = {-1}  # which of the phones the frame before can belong to; -1: none yet
    for t in range(begin, len(pdfs)):
        stay = {k for k in inside if k >= 0 and pdfs[t] == phones[k][1]}
        ahead = (k + 1 for k in inside if k < last)
        inside = stay | {k for k in ahead if pdfs[t] == phones[k][0]}
        if not inside:
            return
        if last in inside and (t + 1 == len(pdfs) or pdfs[t + 1] in graph.entry_pdfs):
            yield t + 1
    if cut:
        yield len(pdfs)


def word_spans(
    phones: tuple[int, ...],
    words: Sequence[Word],
    pronunciations: Mapping[Word, Sequence[tuple[int, ...]]],
    silence: int,
) -> list[tuple[int, int]]:
    """(first phone, last phone + 1) of each word, as indices into `phones`.

    Where there are several ways, later words begin as early as they can.

    Raises:
        ValueError: the phones do not spell the words.
    """
    # reach[j]: where word j can end (an index into phones) -> (where it begins, where j - 1 ends)
    reach: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
    for word in words:
        ends: dict[int, tuple[int, int]] = {}
        for before in sorted(reach[-1]):
            begins = [before]
            if phones[before : before + 1] == (silence,):
                begins.append(before + 1)
            for begin in begins:
                for pron in pronunciations[word]:
                    end = begin + len(pron)
                    if phones[begin:end] == pron:
                        ends.setdefault(end, (begin, before))
        reach.append(ends)
    rests = {len(phones)} | ({len(phones) - 1} if phones[-1:] == (silence,) else set())
    fitting = [end for end in reach[-1] if end in rests]
    if not fitting:
        raise ValueError(f"phones {phones} do not spell the words {list(words)}")
    end, spans = max(fitting), []
    for ends in reversed(reach[1:]):
        begin, before = ends[end]
        spans.append((begin, end))
        end = before
    return spans[::-1]
