"""The directory that `chainstitch align` writes.

    ali.gz          phones with their durations in input frames (alignments.py)
    phones.txt      the phones' numbers, of the lang directory that was used
    ctm             utterance 1 begin duration word, in seconds; silences are left out
    phones.ctm      the same of phones, silences too
    textgrid/<utterance>.TextGrid   tiers `words` and `phones`, for Praat, if wanted; a / in a
                    name becomes _
    scores          utterance, log-likelihood per output frame
    lattices.gz     other ways to say each transcript, with their times (lattice_file.py), if wanted
    dropped         utterance and why it could not be aligned; absent if there is none

Everything is sorted by utterance and says the same: a time is a number of frames times 0.01 s.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from chainstitch.utils.data.alignments import FILE, write_alignments
from chainstitch.utils.data.features import FRAME_SHIFT
from chainstitch.utils.data.lattice_file import FILE as LATTICES
from chainstitch.utils.data.lattice_file import lattice_writer
from chainstitch.utils.data.phone_lattice import PhoneLattice
from chainstitch.utils.data.textgrid import textgrid
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory

PHONES, CTM, PHONES_CTM, SCORES, DROPPED = "phones.txt", "ctm", "phones.ctm", "scores", "dropped"
TEXTGRIDS = "textgrid"


@dataclass(frozen=True)
class AlignedUtterance:
    """What was said when.

    Attributes:
        phones: (phone, input frames), in order, without gaps.
        words: (word, first of its phones, last + 1), indices into `phones`.
        score: log-likelihood per output frame, in nats.
        lattice: the ways to say it, this one among them; None: not wanted.
    """

    phones: list[tuple[int, int]]
    words: list[tuple[str, int, int]]
    score: float
    lattice: PhoneLattice | None = None

    @property
    def bounds(self) -> list[int]:
        """Where each phone begins and, last, where all end, in input frames."""
        return [0, *itertools.accumulate(frames for _, frames in self.phones)]


def write_alignment_directory(
    out: Path | str,
    aligned: Mapping[str, AlignedUtterance],
    phone_numbers: Mapping[str, int],
    dropped: Mapping[str, str],
    textgrids: bool = True,
    overwrite: bool = False,
) -> None:
    """Writes all of it but lattices, or nothing; see `fill_alignment_directory`.

    Raises:
        UsageError: `out` exists and `overwrite` is false.
        UserError: two utterances would have the same TextGrid.
    """
    with atomic_directory(out, "alignment", overwrite) as directory:
        fill_alignment_directory(directory, aligned, phone_numbers, dropped, textgrids)


@contextmanager
def lattices_into(
    directory: Path, phone_numbers: Mapping[str, int], wanted: bool
) -> Iterator[Callable[[str, AlignedUtterance], AlignedUtterance]]:
    """What writes an utterance's lattice into a directory that is being made, and gives the
    utterance back without it, so that none has to be remembered; where none is wanted it does
    nothing."""
    if not wanted:
        yield lambda name, utterance: utterance
        return

    def write(name: str, utterance: AlignedUtterance) -> AlignedUtterance:
        assert utterance.lattice is not None
        add(name, utterance.lattice)
        return replace(utterance, lattice=None)

    with lattice_writer(directory / LATTICES, _by_number(phone_numbers)) as add:
        yield write


def fill_alignment_directory(
    directory: Path,
    aligned: Mapping[str, AlignedUtterance],
    phone_numbers: Mapping[str, int],
    dropped: Mapping[str, str],
    textgrids: bool = True,
) -> None:
    """Writes what is not there yet into a directory that is being made.

    Args:
        phone_numbers: the symbol table of phones, as in the lang directory that was used.
        dropped: why, by utterance.
        textgrids: whether to write textgrid/.

    Raises:
        UserError: two utterances would have the same TextGrid.
    """
    phone_names = _by_number(phone_numbers)
    names = sorted(aligned)
    files = {name: f"{name.replace('/', '_')}.TextGrid" for name in names}
    twice = [file for file, count in Counter(files.values()).items() if count > 1]
    if textgrids and twice:
        raise UserError(
            f"two utterances would write {twice[0]}; give one another id, or --no-textgrid"
        )
    words, phones = [], []
    if textgrids:
        (directory / TEXTGRIDS).mkdir()
    for name in names:
        utterance = aligned[name]
        times = [round(frame * FRAME_SHIFT, 2) for frame in utterance.bounds]
        said = [(times[a], times[b], word) for word, a, b in utterance.words]
        sounds = [
            (begin, end, phone_names[phone])
            for (phone, _), begin, end in zip(utterance.phones, times, times[1:], strict=False)
        ]
        words += [_ctm_line(name, *word) for word in said]
        phones += [_ctm_line(name, *sound) for sound in sounds]
        if textgrids:
            text = textgrid({"words": said, "phones": sounds}, times[-1])
            (directory / TEXTGRIDS / files[name]).write_text(text, encoding="utf-8")
    alignments = {name: utterance.phones for name, utterance in aligned.items()}
    write_alignments(directory / FILE, alignments, phone_names)
    _write_lines(directory / PHONES, [f"{s} {n}" for s, n in phone_numbers.items()])
    _write_lines(directory / CTM, words)
    _write_lines(directory / PHONES_CTM, phones)
    _write_lines(directory / SCORES, [f"{n} {aligned[n].score:.4f}" for n in names])
    if dropped:
        _write_lines(directory / DROPPED, [f"{n} {dropped[n]}" for n in sorted(dropped)])


def _by_number(phone_numbers: Mapping[str, int]) -> dict[int, str]:
    return {n: name for name, n in phone_numbers.items()}


def _ctm_line(utterance: str, begin: float, end: float, what: str) -> str:
    return f"{utterance} 1 {begin:.2f} {end - begin:.2f} {what}"


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
