"""Where the utterances of a set lie in recordings, by the names that a reference has for those."""

from __future__ import annotations

from pathlib import Path

from lhotse.cut import MonoCut

from chainstitch.utils import text as texts
from chainstitch.utils.data.manifests import read_cuts
from chainstitch.utils.errors import UserError
from chainstitch.utils.score.ctm import Place

NAMED = "reco2file_and_channel"
CHANNELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_places(data: Path | str, reco2file: Path | str | None = None) -> dict[str, Place]:
    """The place of every utterance of a set.

    Without `reco2file` they are called as the set's own reco2file_and_channel had them (a set keeps
    that under this name with its segments); else a recording is the file of its name, and its first
    channel is A, the second B, and so on.

    Args:
        reco2file: Kaldi's reco2file_and_channel, lines of recording, file and channel.

    Raises:
        UserError: an utterance that is no stretch of one recording, a recording that `reco2file`
            does not name, or a line of that which is not so.
    """
    names = None if reco2file is None else read_reco2file(reco2file)
    places = {}
    for cut in read_cuts(data):
        if not (isinstance(cut, MonoCut) and cut.has_recording and isinstance(cut.channel, int)):
            raise UserError(
                f"{data}: cut {cut.id} is not a stretch of one channel of a recording, so that its "
                "words have no place in a ctm"
            )
        recording = cut.recording.id
        kept = [segment.custom or {} for segment in cut.supervisions]
        own = next((custom[NAMED] for custom in kept if NAMED in custom), None)
        if names is None and own is not None:
            file, channel = str(own).split()
        elif names is None:
            file, channel = recording, CHANNELS[cut.channel % len(CHANNELS)]
        elif names is not None and recording in names:
            file, channel = names[recording]
        else:
            raise UserError(f"{reco2file}: recording {recording!r} of {data} has no line there")
        places[cut.id] = Place(file, channel, cut.start, cut.end)
    return places


def read_reco2file(path: Path | str) -> dict[str, tuple[str, str]]:
    """The file and channel of each recording; errors as `read_places`."""
    found = {}
    for number, line in texts.numbered(path):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 3:
            raise UserError(f"{path}:{number}: {line[:80]!r}: wanted recording, file and channel")
        found[fields[0]] = (fields[1], fields[2])
    return found
