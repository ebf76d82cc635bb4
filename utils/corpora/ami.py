"""The AMI meeting corpus: four or five people around a table, with headsets and microphone arrays.

`prepare(source, out, mic=...)` reads the manual annotations (ami_xml.py) and the audio, anywhere
below SOURCE and by its names (upper and lower case alike),

    ihm     ES2002a.Headset-0.wav, ...: each from the headset of who speaks
    sdm1    ES2002a.Array1-01.wav: all from one distant microphone
    mdm8    ES2002a_MDM8.wav: eight microphones, put together by somebody else's beamformer

and writes out/{train,dev,eval}: a set for each part of the full-corpus-ASR split, with utterances
and words by ami_text.py, ids, speakers and times by ami_ids.py; and in dev and eval `stm`, what is
scored. Kaldi's recipe goes on with speakers that last 30 s at most, which is an operation of
`chainstitch data`; so is the audio of the headsets for the utterances of a distant microphone.

The split is lhotse's, whose train lacks IB4005, which Kaldi has. Its reader of the corpus is not
used: it takes other annotations, segments and ids (ami_xml.py), and its recordings are meetings.

Source: Carletta, Unleashing the Killer Corpus, LREC 2007 (groups.inf.ed.ac.uk/ami); audio and
annotations are under CC BY 4.0.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MonoCut

from chainstitch.utils.corpora.ami_ids import (
    MICROPHONES,
    Microphone,
    Utterance,
    shown,
    utterance,
    without_overlap,
)
from chainstitch.utils.corpora.ami_text import normalise, split
from chainstitch.utils.corpora.ami_xml import (
    RELEASE,
    Agent,
    Skipped,
    check_annotations,
    read_agents,
    segment_lines,
)
from chainstitch.utils.corpora.kaldi_dir import NAMED, read_recordings
from chainstitch.utils.data.manifests import write_sets
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.outputs import check_directory

__all__ = ["normalise", "prepare", "split", "split_lists"]

SETS = ("train", "dev", "eval")
WITHOUT_ARRAY = ("IS1003b", "IS1007d")
OVERSHOOT = 0.5  # seconds behind the end of the audio that Kaldi forgives, and cuts off
NO_BEAMFORMER = (
    "beamforming is not done here: get the corpus's own from its site, where they are called "
    "beamformed, or make them of Array1-01 to -08 with BeamformIt; or take --mic sdm1"
)

log = logging.getLogger(__name__)


@dataclass
class _Set:
    """What comes of a set, and what was left out."""

    cuts: list[Cut] = field(default_factory=list)
    scored: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def leave_out(self, why: str, number: int = 1) -> None:
        self.counts[why] = self.counts.get(why, 0) + number


def split_lists() -> dict[str, list[str]]:
    """The meetings of each set, sorted."""
    from lhotse.recipes.ami import PARTITIONS

    lists = PARTITIONS["full-corpus-asr"]
    parts = {"train": [*lists["train"], "IB4005"], "dev": lists["dev"], "eval": lists["test"]}
    return {name: sorted(set(meetings)) for name, meetings in parts.items()}


def prepare(
    source: Path,
    out: Path,
    *,
    mic: str = "ihm",
    annotations: Path | None = None,
    release: str = RELEASE,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes all of the above; returns how many utterances each set has.

    Args:
        annotations: what ami_public_manual_1.6.1.zip unpacks to; None: SOURCE/annotations.
        release: of the annotations.
        skip_broken: leave out, with a warning, what lacks its audio or cannot be read, instead of
            refusing.

    Raises:
        UsageError: an unknown microphone, or a set exists already.
        UserError: what is read is not as it should be; names the file.
    """
    if mic not in MICROPHONES:
        raise UsageError(f"--mic wants one of {', '.join(MICROPHONES)}, found {mic!r}")
    annotations = annotations or source / "annotations"
    for name in SETS:
        check_directory(out / name, "set", overwrite, [source, annotations])
    check_annotations(annotations, release)
    agents = read_agents(annotations)
    audio = _audio(source, MICROPHONES[mic])
    found = {}
    for name, meetings in split_lists().items():
        there = [meeting for meeting in meetings if meeting in agents]
        if absent := len(meetings) - len(there):
            log.warning("%s: meetings.xml lacks %d of %d meetings", name, absent, len(meetings))
        utterances = _utterances(annotations, there, agents, MICROPHONES[mic], out / name)
        found[name] = _set(utterances, audio, MICROPHONES[mic], name == "train", skip_broken)
        if not found[name].cuts:
            raise UserError(
                f"{source} has nothing for {out / name}: no meeting with annotations and "
                f"{MICROPHONES[mic].shown} or the like; get some of {', '.join(meetings[:3])}, ..."
            )
        for why, count in found[name].counts.items():
            log.warning("%s: %d utterances left out: %s", out / name, count, why)
    beside = {
        name: {"stm": "".join(f"{line}\n" for line in found[name].scored)} for name in SETS[1:]
    }
    write_sets(out, {name: one.cuts for name, one in found.items()}, overwrite, source, beside)
    return {name: len(one.cuts) for name, one in found.items()}


def _audio(source: Path, mic: Microphone) -> dict[str, Path]:
    """The file of every recording."""
    found: dict[str, Path] = {}
    for path in sorted(source.rglob("*.[wW][aA][vV]")):
        recording = mic.recording_of(path.stem)
        if recording is None:
            continue
        if recording in found:
            raise UserError(f"{path} and {found[recording]} are both {recording}; take one away")
        found[recording] = path
    if not found:
        why = NO_BEAMFORMER if mic.name == "mdm8" else "give the directory with AMI's audio"
        raise UserError(f"{source} holds no audio called like {mic.shown}; {why}")
    return found


def _utterances(
    annotations: Path,
    meetings: Iterable[str],
    agents: dict[str, dict[str, Agent]],
    mic: Microphone,
    place: Path,
) -> list[Utterance]:
    """All that is said in the meetings, in the order of ids, each once."""
    skipped = Skipped()
    found: set[Utterance] = set()
    for meeting in meetings:
        for line in segment_lines(annotations, meeting, agents[meeting], skipped):
            found.update(utterance(piece, mic) for piece in split(line))
    if skipped.agents:
        some = ", ".join(skipped.agents[:3])
        log.warning("%s: %d files of agents whom meetings.xml does not know are left out (%s)",
                    place, len(skipped.agents), some)  # fmt: skip
    if skipped.without_time:
        log.warning("%s: %d segments without times left out", place, skipped.without_time)
    return sorted(found)


def _set(
    utterances: list[Utterance],
    audio: dict[str, Path],
    mic: Microphone,
    train: bool,
    skip_broken: bool,
) -> _Set:
    """The cuts of a set, and its stm if it is one to score."""
    found = _Set()
    if mic.tag and not train:
        utterances = without_overlap(utterances)
    paths = _paths({one.recording: one.meeting for one in utterances}, audio, mic, skip_broken)
    recordings = dict(read_recordings(paths, skip_broken))
    last = ""
    for one in utterances:
        if one.recording not in recordings:
            found.leave_out("without audio")
        elif one.id == last:
            found.leave_out("with the id of another one")
        elif one.start >= one.end:
            found.leave_out("within others of the same speaker, or shorter than 0.01 s")
        else:
            last = one.id
            file = paths[one.recording].stem
            if not train:
                times = f"{shown(one.start)} {shown(one.end)}"
                found.scored.append(f"{file} A {one.scored_as} {times} {one.text}")
            cut = _cut(one, recordings[one.recording], file, one.speaker(train), mic)
            if cut is None:
                found.leave_out("behind the end of their audio")
            else:
                found.cuts.append(cut)
    return found


def _paths(
    meetings: dict[str, str], audio: dict[str, Path], mic: Microphone, skip_broken: bool
) -> dict[str, Path]:
    """The files of recordings whose meetings are given.

    Raises:
        UserError: some are missing, besides those that there never were.
    """
    missing = [name for name in meetings if name not in audio]
    never = [name for name in missing if mic.tag and meetings[name] in WITHOUT_ARRAY]
    for name in never:
        log.info("%s: the meeting has no array and is left out", meetings[name])
    missing = [name for name in missing if name not in never]
    if missing:
        what = (
            f"{len(missing)} of {len(meetings)} recordings have annotations and no audio, "
            f"{', '.join(missing[:3])}, called like {mic.shown}"
        )
        if not skip_broken:
            raise UserError(f"{what}; copy them, or pass --skip-broken to leave them out")
        log.warning("left out: %s", what)
    return {name: audio[name] for name in meetings if name in audio}


def _cut(
    one: Utterance, recording: Recording, file: str, speaker: str, mic: Microphone
) -> Cut | None:
    """None: it ends too late."""
    if one.end > recording.duration + OVERSHOOT or one.start >= recording.duration:
        return None
    duration = round(min(one.end, recording.duration) - one.start, 8)
    gender = None if mic.tag else {"F": "female", "M": "male"}[one.code[0]]
    supervision = SupervisionSegment(
        one.id, recording.id, 0.0, duration,
        text=one.text, speaker=speaker, gender=gender, custom={NAMED: f"{file} A"},
    )  # fmt: skip
    return MonoCut(one.id, one.start, duration, 0, [supervision], recording=recording)
