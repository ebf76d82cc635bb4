"""Who says what of AMI in which recording: ids, as Kaldi's recipe makes them.

Of a piece `meeting H0<channel> speaker start end TEXT` (ami_text.py) and a microphone:

    utterance    AMI_ES2011a_H00_FEE041_0003415_0003484: hundredths of a second, rounded half up.
                 In place of H00, the headset, all distant microphones have SDM, or MDM where they
                 were put together; so that alignments fit each of sdm1, sdm2, ...
    recording    AMI_ES2011a_H00, AMI_ES2011a_SDM
    times        those of the id, not of the piece
    speaker      for the headsets, who wears it: AMI_ES2011a_H00_FEE041. A distant microphone does
                 not know who speaks: the meeting, AMI_ES2011a; in dev and eval AMI_ES2011a_SDM_
    scored as    AMI_ES2011a_SDM_FEE041, where it must be known who speaks over whom

A speaker's code is F or M, up to two letters, three digits, and letters again: MTD009PM. Of
MTD0010ID, who has four, speakers have MTD001 only, as Kaldi's pattern sees it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from chainstitch.utils.errors import UserError

_CODE = re.compile("[FM][A-Z]{0,2}[0-9]{3}[A-Z]*")


@dataclass(frozen=True)
class Microphone:
    """What it is called: by --mic, and in ids (empty: by the headset).

    Attributes:
        audio: of a file's name without .wav; groups `meeting` and, of headsets, `channel`.
        shown: what such a name looks like.
    """

    name: str
    tag: str
    audio: re.Pattern[str]
    shown: str

    def recording(self, meeting: str, headset: str) -> str:
        """The id of a recording; headset: H00, H01, ..."""
        return f"AMI_{meeting}_{self.tag or headset}"

    def recording_of(self, stem: str) -> str | None:
        """That of a file, by its name without .wav; None: it is not of this microphone."""
        found = self.audio.fullmatch(stem)
        if found is None:
            return None
        meeting = found["meeting"][:6].upper() + found["meeting"][6:].lower()
        return self.recording(meeting, "" if self.tag else f"H0{found['channel']}")


def _named(pattern: str) -> re.Pattern[str]:
    return re.compile(r"(?P<meeting>[A-Z]{2}[0-9]{4}[a-z]?)" + pattern, re.IGNORECASE)


MICROPHONES = {
    mic.name: mic
    for mic in (
        Microphone("ihm", "", _named(r"\.Headset-(?P<channel>[0-9])"), "ES2002a.Headset-0.wav"),
        Microphone("sdm1", "SDM", _named(r"\.Array1-01"), "ES2002a.Array1-01.wav"),
        Microphone("mdm8", "MDM", _named(r"_MDM8"), "ES2002a_MDM8.wav"),
    )
}


@dataclass(frozen=True, order=True)
class Utterance:
    """A piece by one microphone; ordered by id. Times in seconds."""

    id: str
    recording: str
    meeting: str
    headset: str
    code: str
    start: float
    end: float
    text: str

    def speaker(self, train: bool) -> str:
        """Whom means and i-vectors are of."""
        if self.recording == f"AMI_{self.meeting}_{self.headset}":
            return self.scored_as
        return f"AMI_{self.meeting}" if train else f"{self.recording}_"

    @property
    def scored_as(self) -> str:
        found = _CODE.match(self.code)
        return f"{self.recording}_{found[0] if found else self.code}"


def utterance(piece: str, mic: Microphone) -> Utterance:
    """The utterance of a piece.

    Raises:
        UserError: the speaker's code is none.
    """
    meeting, headset, code, *times, text = piece.split(" ", 5)
    if not _CODE.match(code):
        raise UserError(
            f"speaker {code!r} of meeting {meeting}: wanted a code like FEE041 or MTD009PM; mend "
            "corpusResources/meetings.xml"
        )
    recording = mic.recording(meeting, headset)
    start, end = (int(100 * float(time) + 0.5) for time in times)
    name = f"{recording}_{code}_{start:07d}_{end:07d}"
    return Utterance(name, recording, meeting, headset, code, start / 100, end / 100, text)


def shown(seconds: float) -> str:
    """Times as awk prints them: 7, 7.5, with six digits at most."""
    return f"{seconds:.6g}"


def without_overlap(utterances: list[Utterance]) -> list[Utterance]:
    """The utterances of dev or eval by a distant microphone, in the order of ids: one that begins
    before that of the same speaker before it ends, begins there instead, under its old id.

    NIST's asclite refuses a speaker who speaks over herself.
    """
    found = list(utterances)
    for n, (before, one) in enumerate(pairwise(utterances), start=1):
        if before.scored_as == one.scored_as and before.end > one.start:
            found[n] = replace(one, start=before.end)
    return found
