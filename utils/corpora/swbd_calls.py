"""Telephone calls: SPHERE files of two channels, a side each, and stretches of them."""

from __future__ import annotations

import re
from pathlib import Path

from lhotse import Recording, SupervisionSegment
from lhotse.cut import MonoCut

from chainstitch.utils.data.manifests import read_recording
from chainstitch.utils.errors import UserError

SIDES = "AB"  # the first channel and the second
OVERSHOOT = 0.5  # seconds behind the end of the audio that Kaldi forgives, and cuts off


def find_audio(directory: Path, call: re.Pattern[str], corpus: str) -> dict[str, Path]:
    """The .sph files at any depth that are called as calls of a corpus are, by name.

    Raises:
        UserError: there are none, or two of one name.
    """
    audio: dict[str, Path] = {}
    others = 0
    for path in sorted(path for path in directory.rglob("*") if path.suffix.lower() == ".sph"):
        name = path.stem.lower()
        if not call.fullmatch(name):
            others += 1
        elif name in audio:
            raise UserError(f"{path}: the call is in {audio[name]}, too; take one of them away")
        else:
            audio[name] = path
    if not audio:
        raise UserError(
            f"{directory} holds {others or 'no'} .sph files, and none of a call of {corpus}; give "
            f"the directory with the audio of {corpus}, not of another release"
        )
    return audio


def read_call(path: Path, name: str) -> Recording:
    """A call's recording, of two channels; errors as `read_recording`."""
    recording = read_recording(path, name, several=True)
    if recording.num_channels != len(SIDES):
        raise UserError(f"{path}: {recording.num_channels} channels, wanted one for each side")
    return recording


def clipped(utterance: str, times: tuple[float, float], call: Recording) -> tuple[float, float]:
    """Times that end with the audio at the latest; the second may be below the first then.

    Raises:
        UserError: they end later than Kaldi would forgive.
    """
    if times[1] > call.duration + OVERSHOOT:
        raise UserError(
            f"{utterance} ends at {times[1]:g} s, but {call.id} lasts {call.duration:.3f} s; mend "
            "the time, or copy the audio again"
        )
    return times[0], min(times[1], call.duration)


def make_cut(
    utterance: str, speaker: str, text: str, times: tuple[float, float], channel: int,
    call: Recording,
) -> MonoCut:  # fmt: skip
    """The cut of an utterance of one side of a call."""
    start, duration = times[0], round(times[1] - times[0], 8)
    segment = SupervisionSegment(
        utterance, call.id, 0.0, duration, channel=channel, text=text, speaker=speaker
    )
    return MonoCut(utterance, start, duration, channel, [segment], recording=call)
