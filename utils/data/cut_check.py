"""Can this cut be used at all? Its ids, times, channel, texts, and what it is made of.

lhotse makes objects of whatever stands in a manifest: a start of NaN, a duration that is a text, a
channel that the recording has not. A cut with a fault is refused where cuts are read and where they
are made, so that nothing behind has to ask; `validate` counts them instead. What is merely wrong
(outside its recording, say) is for `validate` alone.
"""

from __future__ import annotations

import math
from typing import Any

from lhotse import Recording, SupervisionSegment
from lhotse.cut import Cut, MixedCut, MonoCut, PaddingCut

from chainstitch.utils.data.identifiers import field_fault, utterance_fault

MOST = 2**31 - 1  # of what is counted: frames and samples; indexes hold them in 32 bits
LONGEST = 86400.0  # seconds of a cut, all of which is in memory when its features are made


def cut_fault(cut: Cut) -> str | None:
    """What is wrong with a cut, as the end of a sentence that begins with its id; or None."""
    fault = utterance_fault(cut.id)
    if fault:
        return f"has an id that {fault}"
    if isinstance(cut, MonoCut):
        return _mono_fault(cut)
    if not isinstance(cut, MixedCut):
        return f"is a {type(cut).__name__}, wanted one channel of one recording, or a mix of such"
    for track in cut.tracks:
        if not _is_number(track.offset) or not 0 <= track.offset <= LONGEST:
            return f"has a track at {track.offset!r}, wanted seconds"
        if isinstance(track.cut, PaddingCut):
            length, rate = track.cut.duration, track.cut.sampling_rate
            if not _is_number(length) or not 0 < length <= LONGEST or not _is_count(rate):
                return f"has padding of {length!r} seconds at {rate!r} Hz"
            continue
        if not isinstance(track.cut, MonoCut):
            return f"has a track that is a {type(track.cut).__name__}, wanted a MonoCut"
        if (fault := _mono_fault(track.cut)) is not None:
            return fault
    return None if any(isinstance(track.cut, MonoCut) for track in cut.tracks) else "has no tracks"


def material_fault(cut: Cut) -> str | None:
    """That a part of a cut has nothing to hear or to compute with; a cut of words alone is one."""
    tracks = [track.cut for track in cut.tracks] if isinstance(cut, MixedCut) else [cut]
    for track in tracks:
        if not isinstance(track, MonoCut):
            continue
        if track.recording is None and track.features is None:
            return "has neither a recording nor features"
        if track.recording is not None and not track.recording.sources:
            return "has a recording without a source"
    return None


def _mono_fault(cut: MonoCut) -> str | None:
    if not _is_number(cut.start) or not _is_number(cut.duration) or cut.duration <= 0:
        return f"has start {cut.start!r} and duration {cut.duration!r}, wanted seconds"
    if cut.duration > LONGEST:
        return f"lasts {cut.duration:.0f} s, wanted at most a day"
    if type(cut.channel) is not int:
        return f"has the channel {cut.channel!r}, wanted one number"
    for segment in cut.supervisions:
        if (fault := _segment_fault(segment)) is not None:
            return fault
    if cut.recording is not None and (fault := _recording_fault(cut.recording)) is not None:
        return fault
    heard = cut.recording is not None and cut.recording.sources
    if heard and cut.channel not in cut.recording.channel_ids:
        has = ", ".join(map(str, cut.recording.channel_ids))
        return f"has channel {cut.channel}, its recording has {has}"
    if cut.features is not None:
        frames, key = cut.features.num_frames, cut.features.storage_key
        if not _is_count(frames) or not _is_text(key):
            return f"has features of {frames!r} frames under the key {key!r}"
    return None


def _segment_fault(segment: SupervisionSegment) -> str | None:
    if not (_is_number(segment.start) and _is_number(segment.duration)):
        return f"has a supervision from {segment.start!r} for {segment.duration!r}, wanted seconds"
    if not _is_text(segment.id) or not (segment.text is None or _is_text(segment.text)):
        return f"has a supervision whose id or text is not a text ({str(segment.text)[:40]!r})"
    if segment.speaker and (fault := field_fault(segment.speaker)) is not None:
        return f"has the speaker {segment.speaker!r}, which {fault}"
    return None


def _recording_fault(recording: Recording) -> str | None:
    if (fault := field_fault(recording.id)) is not None:
        return f"has the recording {recording.id!r}, whose id {fault}"
    rate, samples, duration = recording.sampling_rate, recording.num_samples, recording.duration
    if not (_is_count(rate) and _is_count(samples) and _is_number(duration) and duration > 0):
        return f"has a recording of {samples!r} samples, {rate!r} Hz and {duration!r} s"
    for source in recording.sources:
        if not _is_text(source.source) and source.type != "memory":
            return f"has a recording whose file is {source.source!r}"
        if not isinstance(source.channels, list) or not all(
            type(channel) is int for channel in source.channels
        ):
            return f"has a recording with the channels {source.channels!r}"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 < value <= MOST


def _is_text(value: Any) -> bool:
    """A text that can be written, as half of a surrogate pair cannot, and that names a file."""
    return isinstance(value, str) and "\0" not in value and (value.isascii() or _is_utf8(value))


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
