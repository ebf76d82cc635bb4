"""When each word of a path was said, from its pdfs and the words' pronunciations.

In a determinised graph a word's label stands where the word becomes certain, not where it begins.
Its phones are exact, though: each begins with an entry pdf. So the path's phones are split into the
words' pronunciations, with silence between any two.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from chainstitch.utils.decode.graph import Graph

Word = TypeVar("Word", int, str)


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
        ValueError: the phones do not spell the words: pdfs and labels are not of one path.
    """
    starts = [t for t, pdf in enumerate(pdfs) if pdf in graph.entry_phone]
    phones = tuple(graph.entry_phone[pdfs[t]] for t in starts)
    bounds = [*starts, len(pdfs)]
    spans = word_spans(phones, labels, graph.pronunciations, graph.silence, complete)
    return [(bounds[begin], bounds[end]) for begin, end in spans]


def word_spans(
    phones: tuple[int, ...],
    words: Sequence[Word],
    pronunciations: Mapping[Word, Sequence[tuple[int, ...]]],
    silence: int,
    complete: bool = True,
) -> list[tuple[int, int]]:
    """(first phone, last phone + 1) of each word, as indices into `phones`.

    Where there are several ways, later words begin as early as they can.

    Args:
        complete: as of `word_times`.

    Raises:
        ValueError: the phones do not spell the words.
    """
    # reach[j]: where word j can end (an index into phones) -> (where it begins, where j - 1 ends)
    reach: list[dict[int, tuple[int, int]]] = [{0: (0, 0)}]
    for n, word in enumerate(words):
        ends: dict[int, tuple[int, int]] = {}
        for before in sorted(reach[-1]):
            begins = [before]
            if phones[before : before + 1] == (silence,):
                begins.append(before + 1)
            for begin in begins:
                for pron in pronunciations[word]:
                    end = begin + len(pron)
                    cut_short = not complete and n == len(words) - 1 and end > len(phones)
                    if phones[begin:end] == (pron[: len(phones) - begin] if cut_short else pron):
                        ends.setdefault(min(end, len(phones)), (begin, before))
        reach.append(ends)
    rests = {len(phones)} | ({len(phones) - 1} if phones[-1:] == (silence,) else set())
    fitting = [end for end in reach[-1] if end in rests or not complete]
    if not fitting:
        raise ValueError(f"phones {phones} do not spell the words {list(words)}")
    end, spans = max(fitting), []
    for ends in reversed(reach[1:]):
        begin, before = ends[end]
        spans.append((begin, end))
        end = before
    return spans[::-1]
