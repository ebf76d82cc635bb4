"""The index of a feature directory: what training asks of its cuts and means, memory-mapped.

A million cuts are minutes of JSON and gigabytes of objects, and a training starts in many
processes (ranks, averaged jobs), again and again. So `index.bin` has what they need in arrays
(array_file.py): of each cut its id, frames, speaker, transcript and storage key; and the sums that
means are made of (means.py), of each utterance, each speaker, and the speaker's earlier utterances.

The cuts and `means.npz` stay the truth. The index names the files that it was made from, by size,
time and checksum, and is made again when they have changed or it is damaged; it is kept where the
directory can be written to, and made in every process where it cannot.
"""

from __future__ import annotations

import gzip
import itertools
import json
import logging
import time
from array import array
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chainstitch.utils.arrays import load_arrays
from chainstitch.utils.data.array_file import ArrayFile, ArrayWriter, Damaged, Texts, checksum
from chainstitch.utils.data.identifiers import field_fault, utterance_fault
from chainstitch.utils.data.manifests import CUTS, one_speaker, read_cuts, spoken
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file

INDEX, MEANS = "index.bin", "means.npz"
SOURCES = (CUTS, MEANS)
VERSION = 1
TOLD_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Row(NamedTuple):
    """What the index has of a cut."""

    id: str
    frames: int
    key: str
    text: str
    speaker: str


class FeatureIndex:
    """The cuts of a feature directory, by number, in file order.

    Attributes:
        ids, keys: of the cuts, and of their features in the store.
        frames, speaker, text: (cuts,) int32; speaker and text are numbers.
        texts: the transcripts that occur, one of each.
        identity: of everything in it: two directories that share it have the same cuts.
        prior, global_mean: (dim,) float64, as of FeatureReader.
    """

    def __init__(self, arrays: ArrayFile | Mapping[str, np.ndarray], identity: str) -> None:
        self._arrays, self.identity = arrays, identity
        self.ids, self.texts = self._texts("ids"), self._texts("texts")
        self.keys = self._texts("keys") if "keys" in arrays else self.ids
        self.frames, self.speaker, self.text = (arrays[k] for k in ("frames", "speaker", "text"))
        self.prior, self.global_mean = arrays["prior"], arrays["global_mean"]

    def __len__(self) -> int:
        return len(self.frames)

    def number(self, cut_id: str) -> int:
        """The number of a cut; KeyError if there is none of this id."""
        return self._numbers[cut_id]

    def sums(self, number: int) -> tuple[np.ndarray, float]:
        """Sum (dim,) and count of the frames of a cut that are not digital silence."""
        return self._pair("cut", number)

    def speaker_sums(self, number: int) -> tuple[np.ndarray, float]:
        """The same of all cuts of its speaker."""
        return self._pair("speaker", int(self.speaker[number]))

    def history(self, number: int) -> tuple[np.ndarray, float]:
        """The same of its speaker's cuts before it, in the order of ids."""
        return self._pair("history", number)

    def _pair(self, what: str, row: int) -> tuple[np.ndarray, float]:
        try:
            return self._arrays[f"{what}_sums"][row], float(self._arrays[f"{what}_counts"][row])
        except Damaged as error:
            raise UserError(f"{error}; delete that file, and it will be made again") from None

    def _texts(self, name: str) -> Texts:
        return Texts(self._arrays[name], self._arrays[f"{name}_ends"])

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.ids)}


def open_index(directory: Path) -> FeatureIndex:
    """The index of a feature directory; made first, if there is none that fits.

    Raises:
        UsageError: it is no feature directory.
        UserError: its cuts or means are damaged.
    """
    path = directory / INDEX
    if not (directory / CUTS).is_file():
        raise UsageError(
            f"{directory} has no {CUTS}; give a directory that `chainstitch features` wrote"
        )
    try:
        file = ArrayFile(path)
        if file.facts.get("version") == VERSION and all(
            _unchanged(directory / name, file.facts["sources"][name]) for name in SOURCES
        ):
            return FeatureIndex(file, file.facts["identity"])
        logger.debug("%s is not of the present %s; making it again", path, " and ".join(SOURCES))
    except FileNotFoundError:
        logger.debug("%s has no %s yet; making it", directory, INDEX)
    except (Damaged, OSError, KeyError, TypeError) as error:
        logger.warning("%s; making it again", error)
    return make_index(directory)


def make_index(directory: Path) -> FeatureIndex:
    """Reads cuts and means, and writes the index if the directory allows.

    Raises:
        UserError: cuts or means are damaged, or a cut has no features or not one speaker.
    """
    began = time.monotonic()
    sources = {name: _state(directory / name) for name in SOURCES}
    identity = ", ".join(str(sources[name]["checksum"]) for name in SOURCES)
    facts = {"version": VERSION, "sources": sources, "identity": identity}
    cuts = _cut_arrays(directory)
    count = len(cuts["frames"])
    try:
        with atomic_file(directory / INDEX, "wb") as stream:
            writer = ArrayWriter(stream)
            writer.write(cuts)
            for part in _mean_arrays(directory, cuts):
                writer.write(part)
            writer.finish(facts)
        index = FeatureIndex(ArrayFile(directory / INDEX), identity)
    except OSError as error:
        arrays = dict(cuts)
        for part in _mean_arrays(directory, cuts):
            arrays |= {name: array.copy() for name, array in part.items()}
        seconds = time.monotonic() - began
        logger.info("%s is not kept (%s): %d cuts, %.1f s", INDEX, error, count, seconds)
        return FeatureIndex(arrays, identity)
    seconds = time.monotonic() - began
    level = logging.INFO if seconds > TOLD_SECONDS else logging.DEBUG
    logger.log(level, "%s made of %d cuts in %.1f s", directory / INDEX, count, seconds)
    return index


def _state(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"checksum": "none"}
    status = path.stat()
    return {"size": status.st_size, "time": status.st_mtime_ns, "checksum": checksum(path)}


def _unchanged(path: Path, was: Mapping[str, Any]) -> bool:
    """By size and time, as `make` has it; a copy with another time by its checksum."""
    status = path.stat()
    if status.st_size != was["size"]:
        return False
    return bool(status.st_mtime_ns == was["time"] or checksum(path) == was["checksum"])


def _cut_arrays(directory: Path) -> dict[str, np.ndarray]:
    try:
        return _columns(_rows_of_json(directory / CUTS))
    except UserError:
        raise
    except Exception:  # whatever JSON that is not ours may lead to: lhotse reads it, or says why
        return _columns(_rows_of_cuts(directory))


def _rows_of_json(path: Path) -> Iterator[Row]:
    """Thirty times as fast as to have lhotse make objects."""
    with gzip.open(path, "rb") as stream:
        for line in stream:
            item = json.loads(line)
            if item["type"] != "MonoCut":
                raise ValueError(item["type"])
            parts, features = item["supervisions"], item["features"]
            yield Row(
                item["id"], features["num_frames"], features["storage_key"],
                spoken((part["start"], part["id"], part.get("text")) for part in parts),
                one_speaker(item["id"], (part.get("speaker") for part in parts)),
            )  # fmt: skip


def _rows_of_cuts(directory: Path) -> Iterator[Row]:
    for cut in read_cuts(directory):
        if getattr(cut, "features", None) is None:
            raise UserError(
                f"{directory}: cut {cut.id} has no features; run `chainstitch features`"
            )
        yield Row(
            cut.id, cut.features.num_frames, cut.features.storage_key,
            spoken((part.start, part.id, part.text) for part in cut.supervisions),
            one_speaker(cut.id, (part.speaker for part in cut.supervisions)),
        )  # fmt: skip


def _columns(rows: Iterator[Row]) -> dict[str, np.ndarray]:
    ids, keys = _Column(), _Column()
    frames, speaker, text = array("i"), array("i"), array("i")
    speakers: dict[str, int] = {}
    texts: dict[str, int] = {}
    for row in rows:
        if (fault := utterance_fault(row.id) or field_fault(row.speaker)) is not None:
            raise UserError(f"cut {row.id!r} of the speaker {row.speaker!r}: one {fault}")
        ids.add(row.id)
        keys.add(row.key)
        frames.append(row.frames)
        speaker.append(speakers.setdefault(row.speaker, len(speakers)))
        text.append(texts.setdefault(row.text, len(texts)))
    if not frames:
        raise ValueError("no cuts")
    arrays = {
        **ids.texts().arrays("ids"), **Texts.of(list(texts)).arrays("texts"),
        "frames": np.array(frames, np.int32), "speaker": np.array(speaker, np.int32),
        "text": np.array(text, np.int32),
    }  # fmt: skip
    return arrays if keys == ids else arrays | keys.texts().arrays("keys")


class _Column:
    """Texts that become a `Texts`; a list of a million would be ten times as large."""

    def __init__(self) -> None:
        self.utf8, self.ends = bytearray(), array("q")

    def add(self, text: str) -> None:
        self.utf8 += text.encode()
        self.ends.append(len(self.utf8))

    def texts(self) -> Texts:
        return Texts(np.frombuffer(self.utf8, np.uint8), np.array(self.ends, np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Column) and (self.utf8, self.ends) == (other.utf8, other.ends)

    __hash__ = None  # type: ignore[assignment]


def _mean_arrays(
    directory: Path, cuts: Mapping[str, np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """In two parts, of which the second is made in the first one's memory."""
    path, ids = directory / MEANS, Texts(cuts["ids"], cuts["ids_ends"])
    try:
        table = load_arrays(path)
        names, totals, counts = (table[k] for k in ("cut_ids", "cut_sums", "cut_counts"))
        prior = table["prior"]
        if not names.shape == totals.shape[:1] == counts.shape or totals.ndim != 2:
            raise ValueError(f"ids {names.shape}, sums {totals.shape} and counts {counts.shape}")
        if prior.shape != totals.shape[1:]:
            raise ValueError(f"sums of {totals.shape[1]} numbers, a prior of {prior.shape}")
        for array in (totals, counts, prior):
            if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
                raise ValueError("sums that are not finite numbers")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; run `chainstitch features` again") from None
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is damaged ({error}); run `chainstitch features` again") from None
    mean = totals.sum(axis=0) / max(counts.sum(), 1.0)
    if len(names) != len(ids) or any(a != b for a, b in zip(names, ids, strict=True)):
        at = {str(name): row for row, name in enumerate(names)}
        missing = next((name for name in ids if name not in at), None)
        if missing is not None:
            raise UserError(f"{path} lacks cut {missing}; run `chainstitch features` again")
        rows = [at[name] for name in ids]
        totals, counts = totals[rows], counts[rows]
    counts = counts.astype(np.float64)
    yield {
        "cut_sums": totals, "cut_counts": counts, "prior": np.asarray(prior), "global_mean": mean,
    }  # fmt: skip
    speaker = cuts["speaker"]
    sums = np.zeros((int(speaker.max()) + 1, totals.shape[1]))
    seen = np.zeros(len(sums))
    ordered = np.arange(len(ids))
    if any(one > other for one, other in itertools.pairwise(ids)):
        ordered = np.array(sorted(range(len(ids)), key=list(ids).__getitem__))
    grouped = ordered[np.argsort(speaker[ordered], kind="stable")]
    for own in np.split(grouped, np.flatnonzero(np.diff(speaker[grouped])) + 1):
        done, so_far = np.cumsum(totals[own], axis=0), np.cumsum(counts[own])
        sums[speaker[own[0]]], seen[speaker[own[0]]] = done[-1], so_far[-1]
        totals[own[0]], counts[own[0]] = 0.0, 0.0
        totals[own[1:]], counts[own[1:]] = done[:-1], so_far[:-1]
    yield {
        "speaker_sums": sums, "speaker_counts": seen,
        "history_sums": totals, "history_counts": counts,
    }  # fmt: skip
