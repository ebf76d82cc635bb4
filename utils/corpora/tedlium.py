"""TED-LIUM, releases 2 and 3: talks of about a quarter of an hour, a speaker each.

`prepare(source, out)` reads SOURCE/{train,dev,test} (of release 3, SOURCE/legacy/{train,dev,test}),
each with sph/TALK.sph and stm/TALK.stm, SOURCE/TEDLIUM.152k.dic and SOURCE/LM/*.en.gz, and writes

    out/{train,dev,test}    sets: an utterance for each line of the stm that has words, with the
                            times of its id; and `stm`, which is what is scored, with true times
    out/dict                lexicon.txt, and silence_phones.txt, nonsilence_phones.txt and
                            optional_silence.txt as Kaldi has them
    out/lm_text             lm.txt.gz, the LM text; dev.txt, the first 10,000 transcripts of train,
                            in the order of ids; train.txt, the others

What the texts become: tedlium_text.py. Kaldi's recipe goes on with train by adding 0.15 s before
and 0.1 s behind each utterance, and with all sets by speakers that last 180 s at most; these are
operations of `chainstitch data`.

Source: Rousseau, Deléglise and Estève, Enhancing the TED-LIUM Corpus with Selected Data for
Language Modeling and More TED Talks, LREC 2014 (openslr.org/19); Hernandez et al., TED-LIUM 3,
SPECOM 2018 (openslr.org/51).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut

from chainstitch.utils import text as texts
from chainstitch.utils.corpora import tedlium_text as rules
from chainstitch.utils.corpora.tedlium_lm import read_dictionary, write_dictionary, write_lm_text
from chainstitch.utils.data import stm
from chainstitch.utils.data.manifests import cut_text, read_recording, write_sets
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import check_directory

SETS = ("train", "dev", "test")
# What labels are made of: conditions of NIST's broadcast news and sexes, and those of release 1.
PARTS = ("o", "f0", "f1", "f2", "f3", "f4", "f5", "fx", "male", "female", "F0_M", "F0_F")
SEXES = {"male": "male", "F0_M": "male", "female": "female", "F0_F": "female"}
OVERSHOOT = 0.5  # seconds behind the end of the audio that Kaldi forgives, and cuts off

log = logging.getLogger(__name__)


@dataclass
class _Set:
    """What was found of a set: lines of the stm as they are scored, cuts, and what was left out."""

    scored: list[str] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    without_words: int = 0
    without_time: int = 0
    broken: list[str] = field(default_factory=list)


def prepare(
    source: Path,
    out: Path,
    *,
    release: int = 2,
    lm_text: bool = True,
    lm_dev_lines: int = 10_000,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes all of the above; returns how many utterances each set has.

    Args:
        lm_text: whether to write out/lm_text, which takes minutes.
        lm_dev_lines: transcripts that are held out from the language model's text.
        skip_broken: leave out, with a warning, talks without stm or audio that can be read and
            segments outside their audio, instead of refusing.

    Raises:
        UsageError: the release or the number of lines cannot be, or something exists already.
        UserError: what is read is not as it should be; names file and line.
    """
    if release not in rules.RELEASES:
        raise UsageError(f"TED-LIUM has no release {release} here; pass --release 2 or --release 3")
    for name in (*SETS, "dict", *(["lm_text"] if lm_text else [])):
        kind = {"dict": "dictionary", "lm_text": "text"}.get(name, "set")
        check_directory(out / name, kind, overwrite, [source])
    lexicon = read_dictionary(source / "TEDLIUM.152k.dic")
    sources = sorted((source / "LM").glob("*.en.gz")) if lm_text else []
    if lm_text and not sources:
        raise UserError(f"{source / 'LM'} holds no *.en.gz; pass --no-lm-text to do without")
    found = {name: _read_set(source, name, release, skip_broken) for name in SETS}
    for name, one in found.items():
        _tell(out / name, one)
    transcripts = [cut_text(cut) for cut in sorted(found["train"].cuts, key=lambda cut: cut.id)]
    if lm_text and lm_dev_lines >= len(transcripts):
        raise UsageError(
            f"--lm-dev-lines {lm_dev_lines} leaves nothing of the {len(transcripts)} utterances of "
            "train for language models; give fewer, or --no-lm-text"
        )
    head = stm.header(rules.LABELS)
    beside = {
        name: {"stm": "".join(f"{line}\n" for line in [*head, *one.scored])}
        for name, one in found.items()
    }
    # the LM text first: it is read while it is written, and may turn out to be damaged
    if lm_text:
        write_lm_text(sources, transcripts, lm_dev_lines, out / "lm_text", release, overwrite)
    write_dictionary(lexicon, out / "dict", overwrite)
    cuts = {name: one.cuts for name, one in found.items()}
    write_sets(out, cuts, overwrite, source, beside)
    return {name: len(members) for name, members in cuts.items()}


def _read_set(source: Path, name: str, release: int, skip_broken: bool) -> _Set:
    """Everything of one set, in the order of its scored stm."""
    found = _Set()
    place = (source / "legacy" if release == 3 else source) / name
    recordings = _recordings(place, release, skip_broken, found)
    segments = []
    for talk, recording in recordings.items():
        for raw, segment in _lines(place / "stm" / f"{talk}.stm"):
            if segment.file != talk:
                raise UserError(f"{segment.where}: is of {segment.file!r}, wanted {talk!r}")
            if not segment.ignored:
                try:
                    stm.check_end(segment, recording.duration, OVERSHOOT)
                except UserError as error:
                    if not skip_broken:
                        raise
                    found.broken.append(str(error))
                    continue
            segments.append((raw, segment))
    places: dict[str, str] = {}
    for raw, segment in sorted(segments, key=lambda pair: rules.order(pair[0])):
        scored = rules.scored_line(raw, release)
        found.scored.append(scored)
        text = rules.text_line(scored)
        if text is None:
            continue
        cut = _cut(text, segment, recordings[segment.file])
        if " " not in text:
            found.without_words += 1
        elif cut is None:
            found.without_time += 1
        elif (before := places.setdefault(cut.id, segment.where)) != segment.where:
            raise UserError(f"{segment.where}: has the talk and times of {before}; delete one")
        else:
            found.cuts.append(cut)
    return found


def _recordings(place: Path, release: int, skip_broken: bool, found: _Set) -> dict[str, Recording]:
    """The talks of a set that have audio and a stm."""
    if not (place / "stm").is_dir() or not (place / "sph").is_dir():
        other = 5 - release
        raise UserError(
            f"{place} has no stm/ and sph/; give the directory of TED-LIUM's release {release}, or "
            f"pass --release {other}"
        )
    audio, lines = (
        {path.stem: path for path in sorted((place / kind).glob(f"*.{kind}"))}
        for kind in ("sph", "stm")
    )
    recordings = {}
    for talk in sorted({*audio, *lines}):
        try:
            if talk not in lines:
                raise UserError(f"{audio[talk]}: the talk has no {place / 'stm' / talk}.stm")
            if talk not in audio:
                raise UserError(f"{lines[talk]}: the talk has no {place / 'sph' / talk}.sph")
            if "-" in talk:
                raise UserError(f"{audio[talk]}: a talk's name may have no -; rename both files")
            recordings[talk] = read_recording(audio[talk], talk)
        except UserError as error:
            if not skip_broken:
                raise UserError(f"{error} (--skip-broken leaves such talks out)") from None
            found.broken.append(str(error))
    return recordings


def _lines(path: Path) -> Iterator[tuple[str, stm.StmSegment]]:
    """The lines of a talk's stm, as they are, and what they say."""
    empty = True
    for number, raw in texts.numbered(path):
        if raw.strip() and not raw.startswith(stm.COMMENT):
            segment = stm.parse(raw, f"{path}:{number}", PARTS)
            if not segment.label:
                raise UserError(f"{path}:{number}: has no label, wanted `{stm.FORM}`")
            empty = False
            yield raw, segment
    if empty:
        raise UserError(f"{path} has no segments; copy it again, or take the talk's audio away")


def _cut(text: str, segment: stm.StmSegment, recording: Recording) -> Cut | None:
    """The utterance of a line of text; None: nothing is left of it between its times."""
    utterance, _, words = text.partition(" ")
    start, end = (float(time) for time in rules.segment_line(utterance).split()[2:])
    end = min(end, recording.duration)
    if start >= end:
        return None
    duration = round(end - start, 8)
    sexes = [SEXES[part] for part in segment.label.strip("<>").split(",") if part in SEXES]
    supervision = SupervisionSegment(
        utterance, recording.id, 0.0, duration,
        text=words, speaker=recording.id, gender=sexes[0] if sexes else None,
    )  # fmt: skip
    return MonoCut(utterance, start, duration, 0, [supervision], recording=recording)


def _tell(place: Path, found: _Set) -> None:
    """What of a set was left out."""
    for reason in found.broken:
        log.warning("left out: %s", reason)
    counts = {"without words": found.without_words, "shorter than 0.01 s": found.without_time}
    for what, count in counts.items():
        if count:
            log.info("%s: %d segments %s are no utterances", place, count, what)
