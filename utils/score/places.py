"""Where the utterances of a set lie in recordings, by the names that a reference has for those."""

from __future__ import annotations

from pathlib import Path

from lhotse.cut import MonoCut

from chainstitch.utils.corpora.kaldi_dir import file_and_channel, read_sides
from chainstitch.utils.data.manifests import read_cuts
from chainstitch.utils.errors import UserError
from chainstitch.utils.score.ctm import Place


def read_places(data: Path | str, reco2file: Path | str | None = None) -> dict[str, Place]:
    """The place of every utterance of a set.

    Args:
        reco2file: Kaldi's reco2file_and_channel; None: what the set itself keeps of one, or file
            and channel as `file_and_channel` calls them by default.

    Raises:
        UserError: an utterance that is no stretch of one recording, a recording that `reco2file`
            does not name, or a line of that which is not so.
    """
    names = None if reco2file is None else read_sides(Path(reco2file))
    places = {}
    for cut in read_cuts(data):
        if not (isinstance(cut, MonoCut) and cut.has_recording and isinstance(cut.channel, int)):
            raise UserError(
                f"{data}: cut {cut.id} is not a stretch of one channel of a recording, so that its "
                "words have no place in a ctm"
            )
        recording = cut.recording.id
        if names is None:
            file, channel = file_and_channel(cut)
        elif recording in names:
            file, channel = names[recording].split()
        else:
            raise UserError(f"{reco2file}: recording {recording!r} of {data} has no line there")
        places[cut.id] = Place(file, channel, cut.start, cut.end)
    return places
