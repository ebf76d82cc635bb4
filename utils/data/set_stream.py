"""Sets too long for memory: read cut by cut, and written cut by cut.

`manifests.read_cuts` makes a list of objects, which for a million cuts are gigabytes. What changes
a set as a whole (`chainstitch data`) goes through it line by line instead: `rows` checks each cut
as `read_cuts` does and gives it as an object to ask and as JSON to change; `write_rows` takes JSON
and writes the same bytes as `manifests.write_set`. In memory are the ids, and one line for each
recording and each supervision, which their files want in the order of ids.

Both ways the cuts come in the order of their ids, as everything here writes them. Of a manifest in
another order `copy` makes one that is in order (renamed.py).
"""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lhotse.cut import Cut, MonoCut

from chainstitch.utils.data.cut_check import cut_fault
from chainstitch.utils.data.identifiers import check_apart, utterance_fault
from chainstitch.utils.data.manifests import (
    CUTS,
    RECORDINGS,
    SUPERVISIONS,
    cut_speaker,
    cuts_file,
    parsed_lines,
)
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.outputs import check_keeps

PROGRESS_SECONDS = 10.0  # between lines in a log file
Item = dict[str, Any]  # a cut as JSON has it
_json = json.JSONEncoder(ensure_ascii=False).encode

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Row:
    """A cut of a set.

    Attributes:
        place: file and line.
    """

    place: str
    line: str
    cut: Cut

    @property
    def speaker(self) -> str:
        """The one speaker; UserError if there is none, or several."""
        try:
            return cut_speaker(self.cut)
        except UserError as error:
            raise UserError(f"{self.place}: {error}") from None

    def item(self) -> Item:
        """A copy to change, without features: they may not be of what comes of it.

        Raises:
            UserError: there are features only, and no audio.
        """
        item = json.loads(self.line) if isinstance(self.cut, MonoCut) else self.cut.to_dict()
        for part in plain_parts(item):
            if "recording" not in part:
                raise UserError(
                    f"{self.place}: cut {self.cut.id} has no audio; give the set `prepare` wrote"
                )
            part.setdefault("supervisions", [])
            part.pop("features", None)
            custom = part.get("custom")
            if custom and custom.pop("volume", None) is not None and not custom:
                part.pop("custom")
        return dict(item)


def rows(directory: Path | str, in_order: bool = True) -> Iterator[Row]:
    """The cuts of a set, one after the other.

    Args:
        in_order: whether they have to come in the order of their ids.

    Raises:
        UsageError: there is no such set.
        UserError: a line is damaged, a cut has a fault, or comes out of order; names the line.
    """
    path = cuts_file(directory)
    last, told = "", time.monotonic()
    for number, line, cut in parsed_lines(path):
        place = f"{path}:{number}"
        fault = cut_fault(cut)
        if fault:
            raise UserError(
                f"{place}: cut {str(cut.id)!r} {fault}; `chainstitch validate {directory}` "
                "finds all of them"
            )
        if in_order and cut.id <= last:
            raise UserError(
                f"{place}: cut {cut.id} comes after {last}, wanted the order of ids; "
                f"`chainstitch data copy {directory} --out NEW` makes a set that is in order"
            )
        last = cut.id
        yield Row(place, line, cut)
        if time.monotonic() - told >= PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("%s: %d utterances read", directory, number)


def plain_parts(item: Item) -> Iterator[Item]:
    """The single-recording cuts in a cut: itself, or a mix's tracks without padding."""
    if item["type"] == "MonoCut":
        yield item
    for track in item.get("tracks", ()):
        if track["cut"].get("type", track.get("type")) == "MonoCut":
            yield track["cut"]


def write_rows(out: Path | str, items: Iterable[Item], overwrite: bool = False) -> int:
    """Writes the set directory `out`; all three files appear together, or none.

    Args:
        items: in the order of their ids. Whoever calls has asked `check_directory` before.

    Returns:
        the number of utterances.

    Raises:
        UserError: there are none, or an id cannot be, comes twice or out of order; or a recording
            is not the same everywhere.
        UsageError: audio lies in the directory that would be replaced.
    """
    out, ids = Path(out), [""]
    recordings: dict[str, str] = {}
    supervisions: dict[str, str] = {}
    files: set[str] = set()
    with atomic_directory(out, "set", overwrite) as temporary:
        with _zipped(temporary / CUTS) as write:
            for item in items:
                _check_next(out, item["id"], ids)
                write(item)
                for part in plain_parts(item):
                    _keep_recording(part, recordings, files, out)
                    for segment in part["supervisions"]:
                        start = round(segment["start"] + part["start"], ndigits=8)
                        supervisions[segment["id"]] = _json(segment | {"start": start})
        if not ids[1:]:
            raise UserError(f"{out} would hold no utterances; nothing was written")
        check_apart(ids[1:], out)
        check_keeps(out, files)
        for name, kept in ((RECORDINGS, recordings), (SUPERVISIONS, supervisions)):
            with _zipped(temporary / name) as write:
                for key in sorted(kept):
                    write(kept[key])
    return len(ids) - 1


def _check_next(out: Path, name: str, ids: list[str]) -> None:
    if (fault := utterance_fault(name)) is not None:
        raise UserError(f"{out}: the id {name!r} {fault}")
    if name == ids[-1]:
        raise UserError(f"{out}: two utterances have the id {name}; make ids unique")
    if name < ids[-1]:
        raise ValueError(f"{name} after {ids[-1]}: not in the order of ids")
    ids.append(name)


def _keep_recording(part: Item, known: dict[str, str], files: set[str], out: Path) -> None:
    recording = part["recording"]
    line = _json(recording)
    if known.setdefault(recording["id"], line) is not line:
        if known[recording["id"]] != line:
            raise UserError(
                f"{out}: two recordings have the id {recording['id']} and are not the same; "
                "`chainstitch data copy --recording-prefix` gives those of a set other ids"
            )
        return
    files |= {source["source"] for source in recording["sources"] if source["type"] == "file"}


@contextmanager
def _zipped(path: Path) -> Iterator[Any]:
    """A function that writes an item, or its JSON, as a line of a .gz without a time stamp."""
    packer = zlib.compressobj(6, wbits=31)  # with the header that gzip.compress writes
    with open(path, "wb") as stream:
        yield lambda item: _pack(stream, packer, item)
        stream.write(packer.flush())


def _pack(stream: IO[bytes], packer: Any, item: Item | str) -> None:
    line = item if isinstance(item, str) else _json(item)
    try:
        data = line.encode()
    except UnicodeEncodeError:  # half a character in a part of it that nothing here reads
        data = json.dumps(json.loads(line)).encode()
    stream.write(packer.compress(data + b"\n"))
