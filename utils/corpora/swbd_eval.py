"""Switchboard's test sets: Hub5 2000, eval2000 (LDC2002S09, LDC2002T43), and RT-03 (LDC2007S10).

`prepare_eval2000` reads SPEECH/[hub5e_00/]english/*.sph with hub5e_00.pem beside, and
TRANSCRIPTS/[2000_hub5_eng_eval_tr/]reference/{hub5e00.english.000405.stm,en20000405_hub5.glm};
`prepare_rt03` reads SOURCE/data/{audio,references}/eval03/english/cts/*.{sph,stm} and
SOURCE/data/trans_rules/en20030506.glm. Each writes one set, with the `stm` and the `glm` that it is
scored by. Its recordings are the calls, its speakers their sides. What becomes of the lines:
swbd_stm.py.

Calls of eval2000 called sw_ are of Switchboard, those called en_ of CallHome; of RT-03's, sw_ and
fsh_ (Fisher).

lhotse's recipe for eval2000 reads other transcripts than these, and it has none for RT-03. Nothing
of a test set can be left out: what is broken in it is refused.
"""

from __future__ import annotations

import re
from pathlib import Path

from lhotse import Recording
from lhotse.cut import Cut

from chainstitch.utils import text as texts
from chainstitch.utils.corpora import swbd_stm as rules
from chainstitch.utils.corpora.swbd_calls import SIDES, clipped, find_audio, make_cut, read_call
from chainstitch.utils.data import stm
from chainstitch.utils.data.manifests import write_sets
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

CALLS = 40  # of eval2000
_HUB5 = re.compile(r"(en|sw)_[0-9]+")
_RT03 = re.compile(r"(fsh|sw)_[0-9]+")

Lines = list[tuple[str, str]]  # each with its place


def prepare_eval2000(
    speech: Path, out: Path, *, transcripts: Path, calls: int = CALLS, overwrite: bool = False
) -> int:
    """Writes the set `out`; returns how many utterances it has.

    Args:
        calls: how many there must be.

    Raises:
        UsageError: `out` cannot be written.
        UserError: what is read is not as it should be; names file and line.
    """
    check_directory(out, "set", overwrite, [speech, transcripts])
    place = _first([speech / "hub5e_00" / "english", speech / "english"], "LDC2002S09")
    reference = _first(
        [transcripts / "2000_hub5_eng_eval_tr" / "reference", transcripts / "reference"],
        "LDC2002T43",
    )
    audio = find_audio(place, _HUB5, "LDC2002S09")
    if len(audio) != calls:
        raise UserError(f"{place} holds {len(audio)} calls, wanted {calls} (--calls)")
    pem = place / "hub5e_00.pem"
    segments = rules.padded(sorted({*_segments(_lines(pem), labelled=False)}))
    spoken = _lines(reference / "hub5e00.english.000405.stm")
    ids = [segment.id for segment in _segments(spoken)]
    if (odd := rules.different(ids, (segment.id for segment in segments))) is not None:
        raise UserError(
            f"{_file(spoken)}: its segments are not those of {pem} ({odd} is in "
            "one of them only, or more often); give both of the same release"
        )
    glm = _glm(reference / "en20000405_hub5.glm")
    found = _cuts(place, audio, segments, spoken, numbered=False)
    return _write(out, found, spoken, glm, speech, numbered=False, overwrite=overwrite)


def prepare_rt03(source: Path, out: Path, *, overwrite: bool = False) -> int:
    """Writes the set `out`; returns how many utterances it has; errors as of the other."""
    check_directory(out, "set", overwrite, [source])
    place = _first([source / "data/audio/eval03/english/cts"], "LDC2007S10")
    audio = find_audio(place, _RT03, "LDC2007S10")
    reference = _first([source / "data/references/eval03/english/cts"], "LDC2007S10")
    files = sorted(reference.glob("*.stm"))
    if not files:
        raise UserError(f"{reference} holds no *.stm; copy it again from LDC2007S10")
    spoken = [line for path in files for line in _lines(path)]
    segments = sorted({*_segments(spoken, numbered=True)})
    glm = _glm(source / "data/trans_rules/en20030506.glm")
    found = _cuts(place, audio, segments, spoken, numbered=True)
    return _write(out, found, spoken, glm, source, numbered=True, overwrite=overwrite)


def _cuts(
    place: Path,
    audio: dict[str, Path],
    segments: list[rules.Segment],
    spoken: Lines,
    numbered: bool,
) -> list[Cut]:
    """Those of the segments that have words; `place` is that of the audio."""
    said: dict[str, str] = {}
    for where, line in spoken:
        if (numbered and rules.GAP in line) or not (words := rules.text(line)):
            continue
        utterance = rules.segment(line, numbered).id
        if utterance in said:
            raise UserError(f"{where}: {utterance} comes a second time; delete one of the two")
        said[utterance] = words
    calls: dict[str, Recording] = {}
    cuts: list[Cut] = []
    for one in segments:
        name, _, side = one.side.rpartition("-")
        if name not in audio:
            raise UserError(f"{place}: {name}.sph is missing; copy it again")
        call = calls.setdefault(name, calls.get(name) or read_call(audio[name], name))
        start, end = clipped(one.id, (one.start, one.end), call)
        if one.id in said and start < end:
            channel = SIDES.index(side)
            cuts.append(make_cut(one.id, one.side, said[one.id], (start, end), channel, call))
    return cuts


def _write(
    out: Path, cuts: list[Cut], spoken: Lines, glm: str, source: Path, numbered: bool,
    overwrite: bool,
) -> int:  # fmt: skip
    scored = (rules.scored_line(line, numbered) for _, line in spoken)
    beside = {"stm": "".join(f"{line}\n" for line in scored if line is not None), "glm": glm}
    write_sets(out.parent, {out.name: cuts}, overwrite, source, {out.name: beside})
    return len(cuts)


def _segments(lines: Lines, numbered: bool = False, labelled: bool = True) -> list[rules.Segment]:
    """Those of the lines that have one.

    Args:
        numbered: whether channels are numbers. labelled: whether it is a stm, and no pem.

    Raises:
        UserError: a line is not as it should be, or there are none.
    """
    found = []
    for where, line in lines:
        if not line.strip() or stm.COMMENT in line or (numbered and rules.GAP in line):
            continue
        one = stm.parse(line, where)
        if labelled and not one.label:
            raise UserError(f"{where}: has no label, wanted `{stm.FORM}`")
        if one.channel not in ("12" if numbered else "AB"):
            raise UserError(
                f"{where}: channel {one.channel!r}, wanted {'1 or 2' if numbered else 'A or B'}; "
                "give the files of the release that is named"
            )
        found.append(rules.segment(line, numbered))
    if not found:
        raise UserError(f"{_file(lines)} holds no segments; copy it again")
    return found


def _file(lines: Lines) -> str:
    return lines[0][0].rpartition(":")[0]


def _lines(path: Path) -> Lines:
    if not path.is_file():
        raise UserError(f"{path} is missing; copy the corpus again, or give the right release")
    found = [(f"{path}:{number}", line) for number, line in texts.numbered(path)]
    if not found:
        raise UserError(f"{path} is empty; copy it again")
    return found


def _glm(path: Path) -> str:
    return "".join(f"{line}\n" for _, line in _lines(path))


def _first(places: list[Path], corpus: str) -> Path:
    for place in places:
        if place.is_dir():
            return place
    raise UserError(f"{places[0]} is not there; give the directory of {corpus}")
