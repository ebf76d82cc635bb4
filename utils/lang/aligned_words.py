"""What an alignment directory says of words: which pronunciation each was given, and the silences.

`ali.gz` has the phones of each utterance and `ctm` the times of its words; both are sorted by
utterance, so they are read side by side, and only one utterance is in memory.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from chainstitch.utils.data.alignment_directory import CTM
from chainstitch.utils.data.alignments import FILE, each_alignment
from chainstitch.utils.data.features import FRAME_SHIFT
from chainstitch.utils.errors import UserError
from chainstitch.utils.lang.directory import Lang
from chainstitch.utils.lang.lexicon import Entry
from chainstitch.utils.score.ctm import numbered_ctm


def aligned_words(directory: Path | str, lang: Lang) -> Iterator[list[Entry | None]]:
    """The words of each utterance, as (word, its phones), with None where there is a silence.

    Words outside the lexicon are the unknown word of `lang`.

    Raises:
        UserError: a file is missing or damaged, or the two do not fit together; names the line.
    """
    directory = Path(directory)
    names = {number: name for name, number in lang.phones.items()}
    words = itertools.groupby(_ctm(directory / CTM), key=lambda row: row[1])
    following = next(words, None)
    for utterance, alignment in each_alignment(directory / FILE, lang.phones):
        said = []
        if following is not None and following[0] == utterance:
            said = list(following[1])
            following = next(words, None)
        bounds = [0, *itertools.accumulate(frames for _, frames in alignment)]
        number_of = {frame: number for number, frame in enumerate(bounds)}  # of the phone there
        row: list[Entry | None] = []
        at = 0
        for number, _, begin, end, word in [*said, (0, utterance, bounds[-1], bounds[-1], "")]:
            first, last = number_of.get(begin, len(alignment)), number_of.get(end, 0)
            between = [names[phone] for phone, _ in alignment[at:first]]
            if first < at or between not in ([], [lang.silences[0]]) or (number and last <= first):
                where = f"{directory / CTM}:{number}" if number else f"{directory / CTM}"
                raise UserError(
                    f"{where}: {word or 'the end'} of {utterance} is not where "
                    f"{directory / FILE} has its phones; make both again with `chainstitch align`"
                )
            row += [None] * len(between)
            if number:
                phones = tuple(names[phone] for phone, _ in alignment[first:last])
                row.append((lang.known([word])[0], phones))
                at = last
        yield row
    if following is not None:
        raise UserError(
            f"{directory / CTM}: {following[0]} is not in {FILE}, or not in its order; make both "
            "again with `chainstitch align`"
        )


def _ctm(path: Path) -> Iterator[tuple[int, str, int, int, str]]:
    """(number of the line, utterance, first frame, last + 1, word) of each line."""
    for number, line in numbered_ctm(path):
        first, last = (round(t / FRAME_SHIFT) for t in (line.begin, line.begin + line.length))
        yield number, line.file, first, last, line.word
