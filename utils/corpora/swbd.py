"""Switchboard-1, release 2 (LDC97S62): 2438 telephone calls, each side a channel.

`prepare(source, out)` reads SOURCE/**/sw02001.sph and so on, 8 kHz and mu-law, and the transcripts
and the dictionary of Mississippi State University (openslr.org/5), and writes

    out/train      the set: an utterance for each line of the transcripts that has words; its
                   recording is the call, `sw02001`, and its channel the side
    out/dict       lexicon.txt, the tables of phones as Kaldi has them, and acronyms.map, by which
                   `score --nist` makes letters of acronyms
    out/lm_text    dev.txt, the first 10,000 texts of train, in the order of ids; train.txt, the
                   others

What the texts become: swbd_text.py; the lexicon: swbd_lexicon.py; the test sets: swbd_eval.py.
Kaldi's recipe goes on with the first 4000 utterances as train_dev, the others as nodev, and of
those 100k_nodup, of the first 100,000, and nodup, of all, by `chainstitch data`.

lhotse's recipe for this corpus is not used: in it both sides of a call have one speaker, and lines
that begin with `[silence]` are lost with their words. Its recordings are as these, which are also
looked at for being cut short or compressed.

Source: Godfrey, Holliman and McDaniel, SWITCHBOARD: telephone speech corpus for research and
development, ICASSP 1992; Deshmukh et al., Resegmentation of SWITCHBOARD, ICSLP 1998.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording

from chainstitch.utils.corpora import swbd_lexicon, swbd_speakers
from chainstitch.utils.corpora.swbd_calls import SIDES, clipped, find_audio, make_cut, read_call
from chainstitch.utils.corpora.swbd_text import SILENCE, map_word
from chainstitch.utils.corpora.swbd_transcripts import Utterance, find_files, read_side
from chainstitch.utils.corpora.tables import write_tables
from chainstitch.utils.data.set_stream import Item, write_rows
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import check_directory

__all__ = ["map_word", "prepare"]

TRANSCRIPTS = "swb_ms98_transcriptions"
CALLS = (2435, 2438)  # of the corpus as it was sold, and as it is
REPORTED = 500  # calls from one line of progress to the next
_CALL = re.compile(r"sw0[0-9]{4}")
SKIP = "(--skip-broken leaves such calls out)"

log = logging.getLogger(__name__)


@dataclass
class _Found:
    """What was read: calls, utterances with words, and what was left out or is odd."""

    recordings: dict[str, Recording] = field(default_factory=dict)
    utterances: list[Utterance] = field(default_factory=list)
    without_words: int = 0
    without_time: int = 0
    silences: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, one: Utterance, call: Recording) -> None:
        """Keeps an utterance, or counts it; UserError if its times cannot be, or come twice."""
        if not one.text:
            self.without_words += 1
            return
        start, end = clipped(f"{one.where}:", one.times, call)
        if start >= end:
            self.without_time += 1
        elif (before := self.places.setdefault(one.id, one.where)) != one.where:
            raise UserError(f"{one.where}: has the side and times of {before}; delete one of them")
        else:
            self.utterances.append(one)
            if SILENCE in one.text.split():
                self.silences.append(one.where)

    def tell(self) -> None:
        """What is odd, and what was left out."""
        if self.silences:
            log.warning(
                "%s: of two [silence] one is a word, as Kaldi's rule keeps it (in %d lines); "
                "delete one of the two there to be without it", self.silences[0],
                len(self.silences),
            )  # fmt: skip
        counts = {"without words": self.without_words, "shorter than 0.01 s": self.without_time}
        for what, count in counts.items():
            if count:
                log.info("%d lines %s are no utterances", count, what)


def prepare(
    source: Path,
    out: Path,
    *,
    transcripts: Path | None = None,
    conv_tab: Path | None = None,
    lm_dev_lines: int = 10_000,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes all of the above; returns how many utterances there are.

    Args:
        transcripts: where they and the dictionary are; default SOURCE/swb_ms98_transcriptions.
        conv_tab: who speaks on which side; None: each side is a speaker.
        lm_dev_lines: texts that are held out from the language model's.
        skip_broken: leave out, with a warning, calls without transcripts or audio that can be read
            and segments outside their audio, instead of refusing.

    Raises:
        UsageError: the number of lines cannot be, or something exists already.
        UserError: what is read is not as it should be; names file and line.
    """
    transcripts = source / TRANSCRIPTS if transcripts is None else transcripts
    for name, kind in {"dict": "dictionary", "lm_text": "text", "train": "set"}.items():
        check_directory(out / name, kind, overwrite, [source, transcripts, conv_tab])
    entries = swbd_lexicon.read_dictionary(transcripts / swbd_lexicon.NAME)
    lexicon, acronyms = swbd_lexicon.lexicon(entries)
    forms = {acronym.word: acronym.form for acronym in acronyms}
    pins = None if conv_tab is None else swbd_speakers.read_pins(conv_tab)
    audio, files = find_audio(source, _CALL, "LDC97S62"), find_files(transcripts)
    if len(audio) not in CALLS:
        log.warning("%s holds %d calls, where LDC97S62 has %d", source, len(audio), CALLS[-1])
    found = _read_calls(audio, files, transcripts, forms, skip_broken)
    found.tell()
    named = swbd_speakers.with_speakers((one.id for one in found.utterances), pins)
    rows = [(*names, one) for names, one in zip(named, found.utterances, strict=True)]
    rows.sort(key=lambda row: row[0])
    if lm_dev_lines >= len(rows):
        raise UsageError(
            f"--lm-dev-lines {lm_dev_lines} leaves nothing of the {len(rows)} utterances for "
            "language models; give fewer"
        )
    said = [one.text for _, _, one in rows]
    parts = {"dev.txt": said[:lm_dev_lines], "train.txt": said[lm_dev_lines:]}
    swbd_lexicon.write_dictionary(lexicon, acronyms, out / "dict", overwrite)
    write_tables(out / "lm_text", "text", parts, overwrite)
    return {"train": write_rows(out / "train", _items(rows, found.recordings), overwrite)}


def _read_calls(
    audio: Mapping[str, Path],
    files: Mapping[str, Mapping[str, Path]],
    transcripts: Path,
    forms: Mapping[str, str],
    skip_broken: bool,
) -> _Found:
    """The recordings, and the utterances with words, of all calls."""
    found = _Found()
    calls = sorted({*audio, *files})
    for number, call in enumerate(calls, start=1):
        try:
            found.recordings[call] = _recording(call, audio, files.get(call, {}), transcripts)
        except UserError as error:
            _refuse(error, skip_broken)
            continue
        for side in SIDES:
            for one in read_side(files[call][side], forms):
                try:
                    found.add(one, found.recordings[call])
                except UserError as error:
                    _refuse(error, skip_broken)
        if number % REPORTED == 0:
            log.info("%d of %d calls read", number, len(calls))
    return found


def _recording(
    call: str, audio: Mapping[str, Path], sides: Mapping[str, Path], transcripts: Path
) -> Recording:
    """That of a call that has everything."""
    for side in SIDES:
        if side not in sides:
            name = f"{call[3:5]}/{call[3:]}/sw{call[3:]}{side}-ms98-a-trans.text"
            raise UserError(f"{audio.get(call, call)}: the call has no {transcripts / name}")
    if call not in audio:
        raise UserError(f"{sides['A']}: the call has no {call}.sph in the directory of the corpus")
    return read_call(audio[call], call)


def _refuse(error: UserError, skip_broken: bool) -> None:
    if not skip_broken:
        raise UserError(f"{error} {SKIP}") from None
    log.warning("left out: %s", error)


def _items(
    rows: Iterable[tuple[str, str, Utterance]], recordings: Mapping[str, Recording]
) -> Iterator[Item]:
    for name, speaker, one in rows:
        call = recordings[one.id[:7]]
        cut = make_cut(name, speaker, one.text, clipped(name, one.times, call), one.channel, call)
        yield dict(cut.to_dict())
