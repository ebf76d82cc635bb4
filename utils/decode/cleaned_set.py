"""A set of the segments whose words fit: from ctm edits, by the three steps of cleanup.

What was thrown away is counted: after each step of clean_segments.py, and of each word how often it
is in no segment any more, which shows bad entries of the lexicon.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from lhotse.cut import MonoCut

from chainstitch.utils import config
from chainstitch.utils import text as texts
from chainstitch.utils.data.manifests import cut_speaker, read_cuts, write_set
from chainstitch.utils.decode.biased import FILE
from chainstitch.utils.decode.clean_segments import Cleaner, Limits, Segment, names, second
from chainstitch.utils.decode.ctm_edits import read_edits
from chainstitch.utils.decode.fixed_edits import fix_edits
from chainstitch.utils.decode.tainted_edits import taint_edits
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lang.directory import read_lang
from chainstitch.utils.score.report import table_text

log = logging.getLogger(__name__)

UNKNOWN = "<unk>"
SHOWN = 10  # words that are lost most often, in the report


def edits_file(path: Path) -> Path:
    """The file of what `cleanup decode` wrote, or the file that was given.

    Raises:
        UsageError: there is none.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise UsageError(f"{file} does not exist; `chainstitch cleanup decode` writes ctm edits")
    return file


def read_limits(path: Path | None, overrides: Sequence[str]) -> Limits:
    """What a segment may be; errors as of `config.load`."""
    tree = {} if path is None else config.read_toml(path)
    return config.load_tree(Limits, tree, overrides, "--set" if path is None else str(path))


def read_non_scored(lang: Path, listed: Path | None) -> set[str]:
    """The words that are no speech: those that a file lists, or else those of the lexicon that can
    be pronounced as one silence phone."""
    if listed is not None:
        return {word for line in texts.lines(listed) for word in line.split()}
    known = read_lang(lang)
    silent = {(phone,) for phone in known.silences}
    return {word for word, prons in known.lexicon.items() if silent.intersection(prons)}


def unknown_word(lang: Path, given: str | None) -> str:
    """The word that stands for all that are not in the lexicon: that given, or the lexicon's."""
    return given or read_lang(lang).unknown or UNKNOWN


def check_unknown(lang: Path, unknown: str, limits: Limits) -> None:
    """Raises UsageError where segments would get a word that nothing could be trained on."""
    if limits.unknown_padding > 0.0 and unknown not in read_lang(lang).lexicon:
        raise UsageError(
            f"{lang} has no word {unknown!r}, which pieces that were not understood get; give "
            "--unknown another word, or none of these pieces: --set unknown_padding=0"
        )


def clean(
    edits: Path | str, cleaner: Cleaner, changes: Counter[str] | None = None
) -> Iterator[tuple[str, list[Segment]]]:
    """(utterance, its segments) for each utterance of a file of ctm edits.

    Args:
        changes: counts what the reference was given, or lost.

    Raises:
        UserError: a line is not as ctm_edits.py has them.
    """
    for utterance, lines in read_edits(edits):
        tainted = taint_edits(fix_edits(lines, cleaner.non_scored, changes))
        yield utterance, cleaner.segments(tainted) if tainted else []


def write_cleaned(
    out: Path | str,
    data: Path | str,
    edits: Path | str,
    non_scored: Collection[str],
    unknown: str,
    limits: Limits,
    end_padding: float,
    overwrite: bool = False,
) -> str:
    """Writes the set `out` of segments of the set `data`, and says what became of that.

    Args:
        unknown: the word that stands for a piece that was not understood.
        end_padding: seconds that are added at the end of each segment, as features have no frame
            for the last of them; never beyond the utterance.

    Raises:
        UserError: no line or no segment is there, an utterance of the edits is not in the set, or
            it is no stretch of one recording.
        UsageError: as `write_set`.
    """
    cuts = {cut.id: cut for cut in read_cuts(data)}
    cleaner, changes = Cleaner(non_scored, unknown, limits), Counter[str]()
    kept = []
    for utterance, segments in clean(edits, cleaner, changes):
        if utterance not in cuts:
            raise UserError(
                f"{edits}: utterance {utterance!r} is not in {data}; give the set that the decoded "
                "features were made of, at its own speed"
            )
        cut = cuts[utterance]
        if not isinstance(cut, MonoCut) or not cut.has_recording:
            raise UserError(f"{data}: cut {cut.id} is not a stretch of one recording")
        for name, segment in zip(names(utterance, len(segments)), segments, strict=True):
            end = min(float(second(segment.end)) + end_padding, cut.duration)
            words = " ".join(segment.words(unknown))
            kept.append(_part(cut, name, float(second(segment.start)), end, words))
    if not cleaner.utterances:
        raise UserError(f"{edits} holds no lines; run `chainstitch cleanup decode` again")
    absent = len(cuts) - cleaner.utterances
    if absent:
        log.warning("%d of %d utterances of %s are not in %s", absent, len(cuts), data, edits)
    write_set(out, kept, overwrite, data)
    return report(cleaner, changes, absent)


def _part(cut: MonoCut, name: str, start: float, end: float, text: str) -> MonoCut:
    cut_speaker(cut)  # there is one
    duration = round(end - start, 8)
    segment = dataclasses.replace(
        cut.supervisions[0], id=name, start=0.0, duration=duration, text=text, alignment=None
    )
    place = {"start": round(cut.start + start, 8), "duration": duration}
    return MonoCut(
        name, channel=cut.channel, supervisions=[segment], recording=cut.recording, **place
    )


def report(cleaner: Cleaner, changes: Counter[str], absent: int) -> str:
    """What was kept and what was thrown away, as tables."""
    rows = [("segments", "number", "hours", "of all")]
    for step, (number, seconds) in cleaner.left.items():
        share = 100 * seconds / cleaner.seconds if cleaner.seconds else 0.0
        rows.append((step, str(number), f"{seconds / 3600:.3f}", f"{share:.2f} %"))
    words, gone = cleaner.words.total(), cleaner.lost.total()
    lines = [
        f"{cleaner.utterances} utterances, {cleaner.seconds / 3600:.3f} h; {absent} more were not "
        f"decoded; {cleaner.empty} have no segment",
        table_text(rows),
        f"{gone} of {words} words of the references are in no segment",
    ]
    if changes:
        shown = ", ".join(f"{what} ({n})" for what, n in changes.most_common(SHOWN))
        lines.append(f"references changed at {changes.total()} words: {shown}")
    worst = sorted(cleaner.lost, key=lambda w: (-_badness(cleaner, w), w))[:SHOWN]
    shown = ", ".join(
        f"{w} ({cleaner.lost[w]} of {cleaner.words[w]})" for w in worst if cleaner.lost[w]
    )
    if shown:
        lines.append(f"lost most: {shown}")
    return "\n".join(lines)


def _badness(cleaner: Cleaner, word: str) -> float:
    """High for words that are lost often, and of many a large share."""
    return float(cleaner.lost[word] ** 3 / cleaner.words[word] ** 2)
