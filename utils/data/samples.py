"""The samples of a cut: the one door through which audio of manifests is read.

A manifest is data, but lhotse takes it at its word: an audio source of type `command` is given to
a shell, one of type `url` is fetched, and so for what is deeper in a cut, the impulse response of a
transform say. Arrays and images of a cut's own may lie behind a URL, too, or be pickles. And of a
file called `*.sph` lhotse gives the name to a shell, as it stands. So here, unless the caller
allows commands, a cut with anything that is not plainly a local file is refused, whether it would
be read now or not; and files are read by libsndfile alone, which runs nothing.

Reading manifests (`manifests.read_cuts`) makes objects and opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from lhotse import Recording
from lhotse.audio.backend import audio_backend
from lhotse.cut import Cut

from chainstitch.utils.errors import UserError

LOCAL = ("file", "memory")  # types of audio sources
# of arrays: neither a URL (lilcom_url), nor Kaldi's pipes (kaldiio), nor pickles (memory_raw)
LOCAL_STORAGE = (
    "numpy_files", "numpy_hdf5", "memory_npy", "lilcom_files", "lilcom_hdf5", "memory_lilcom",
    "chunked_lilcom_hdf5", "lilcom_chunky", "pillow_files",
)  # fmt: skip
REMEDY = "pass --allow-commands if you trust whoever made it"


def foreign_source(item: Any) -> str | None:
    """The first thing in a manifest that a command, a connection or a pickle would bring; or None.

    Args:
        item: a cut, a recording, anything that they are made of, or JSON of that.
    """
    if item is None or isinstance(item, str | bytes | int | float):
        return None
    if isinstance(item, list | tuple):
        return next((found for found in map(foreign_source, item) if found), None)
    fields = item if isinstance(item, Mapping) else getattr(item, "__dict__", {})
    if {"type", "source", "channels"} <= fields.keys():
        return _foreign_audio(fields["type"], fields["source"])
    if "storage_type" in fields:
        return _foreign_array(fields["storage_type"], fields.get("storage_path"))
    return foreign_source(list(fields.values()))


def refuse_foreign(cuts: Iterable[Cut], where: Path | str) -> None:
    """Raises UserError for the first cut that has a `foreign_source`."""
    for cut in cuts:
        found = foreign_source(cut)
        if found:
            raise UserError(f"{where}: cut {cut.id} has {found}, which is not used; {REMEDY}")


def load_samples(item: Cut | Recording, allow_commands: bool = False) -> np.ndarray:
    """float32 (samples,) of a cut or recording of one channel.

    Raises:
        UserError: it has a `foreign_source` and `allow_commands` is false; or it cannot be read.
    """
    if not allow_commands:
        refuse_foreign([item], "manifest")
    try:
        with audio_backend("LibsndfileBackend"):
            samples = item.load_audio()
    except Exception as error:  # lhotse and libsndfile raise all sorts; chain what it was
        reason = (str(error).strip() or type(error).__name__).split("\n")[0][:120]
        raise UserError(f"cannot read audio: {reason}") from error
    if samples is None or len(samples) != 1:
        channels = 0 if samples is None else len(samples)
        raise UserError(f"{channels} channels, wanted one")
    return np.asarray(samples[0])


def _foreign_audio(kind: Any, source: Any) -> str | None:
    if kind not in LOCAL:
        return f"audio of type {kind!r} ({str(source)[:60]})"
    return f"audio behind a URL or pipe ({source[:60]})" if _is_remote(source) else None


def _foreign_array(kind: Any, path: Any) -> str | None:
    if kind not in LOCAL_STORAGE:
        return f"an array of storage type {kind!r}"
    return f"an array behind a URL or pipe ({path[:60]})" if _is_remote(path) else None


def _is_remote(place: Any) -> bool:
    """Whether lhotse would take this for a URL, a pipe or the standard input."""
    return isinstance(place, str) and ("://" in place or place.startswith("pipe:") or place == "-")
