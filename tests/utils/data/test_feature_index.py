"""The index says what the cuts and means say, also when they change under it."""

from __future__ import annotations

import logging
import os
import pickle
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chainstitch.utils.data import feature_index, means
from chainstitch.utils.data.array_file import ArrayFile
from chainstitch.utils.data.feature_index import INDEX, MEANS, open_index
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.manifests import CUTS, cut_speaker, cut_text, read_cuts, to_bytes
from chainstitch.utils.errors import UserError
from tests.toy import Toy, retext


@contextmanager
def made(times: int) -> Iterator[None]:
    """The index is made so many times within the block."""
    calls = []
    real = feature_index.make_index

    def make(directory: Path) -> Any:
        calls.append(directory)
        return real(directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_index, "make_index", make)
        yield
    assert len(calls) == times


def check(directory: Path) -> None:
    """Everything in the index against the plain way to it."""
    index, cuts = open_index(directory), read_cuts(directory)
    with np.load(directory / MEANS) as table:
        rows = zip(table["cut_ids"], table["cut_sums"], table["cut_counts"], strict=True)
        sums = {str(name): (total, float(count)) for name, total, count in rows}
        np.testing.assert_array_equal(index.prior, table["prior"])
    assert list(index.ids) == [cut.id for cut in cuts] and len(index) == len(cuts)
    so_far: dict[str, tuple[np.ndarray | float, float]] = {}
    history = {}
    for cut in sorted(cuts, key=lambda cut: str(cut.id)):
        before = history[cut.id] = so_far.get(cut_speaker(cut), (np.zeros(13), 0.0))
        total, count = sums[cut.id]
        so_far[cut_speaker(cut)] = before[0] + total, before[1] + count
    for n, cut in enumerate(cuts):
        assert index.number(cut.id) == n and index.frames[n] == cut.features.num_frames
        assert index.texts[index.text[n]] == cut_text(cut)
        assert index.keys[n] == cut.features.storage_key
        for found, wanted in (
            (index.sums(n), sums[cut.id]),
            (index.history(n), history[cut.id]),
            (index.speaker_sums(n), so_far[cut_speaker(cut)]),
        ):
            np.testing.assert_array_equal(found[0], wanted[0])
            assert found[1] == wanted[1]


def test_features_writes_it_and_nobody_reads_the_cuts_again(toy: Toy, own: Toy) -> None:
    with made(0):
        check(own.train)
        check(toy.dev)
    (own.train / INDEX).unlink()
    with made(1):  # by the first one
        check(own.train)
        check(own.train)


def test_edited_cuts_are_seen_and_the_index_is_kept(own: Toy) -> None:
    retext(own.train, {0: "high", 3: "", 5: "low  high"})
    with made(1):
        check(own.train)
        check(own.train)


def test_files_in_any_order_with_keys_and_speakers_of_their_own(own: Toy) -> None:
    cuts = read_cuts(own.train)
    np.random.default_rng(0).shuffle(cuts)
    for n, cut in enumerate(cuts):
        cut.features.storage_key = f"key{n}"
        cut.supervisions[0].speaker = f"é{n % 3}"
    (own.train / CUTS).write_bytes(to_bytes(cuts))
    check(own.train)


def test_a_copy_with_another_date_is_believed_but_not_other_content(own: Toy) -> None:
    shutil.copytree(own.train, own.place / "copy", copy_function=shutil.copyfile)
    with made(0):
        check(own.place / "copy")
    path = own.train / CUTS
    data = bytearray(path.read_bytes())
    data[9] ^= 1  # the operating system, in a gzip header: the same cuts in another file
    path.write_bytes(data)
    os.utime(path, ns=(1, 1))
    with made(1):
        check(own.train)


def test_damage_is_repaired_or_refused_never_believed(
    own: Toy, caplog: pytest.LogCaptureFixture
) -> None:
    path = own.train / INDEX
    whole = path.read_bytes()
    about = ArrayFile(path)._arrays
    for length in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        caplog.clear()
        with made(1), caplog.at_level(logging.WARNING):
            check(own.train)
        assert len(caplog.records) == 1 and "making it again" in caplog.text
    for name, array in about.items():
        damaged = bytearray(whole)
        damaged[array["at"]] ^= 1
        path.write_bytes(damaged)
        if name.endswith(("_sums", "_counts")):  # read when they are needed first
            with pytest.raises(UserError, match=f"{INDEX}: {name} is damaged; delete that file"):
                check(own.train)
        else:
            with made(1):
                check(own.train)


def test_a_directory_that_cannot_be_written_is_read_all_the_same(
    own: Toy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("read-only")

    (own.train / INDEX).unlink()
    monkeypatch.setattr(feature_index, "atomic_file", refuse)
    with caplog.at_level(logging.INFO):
        check(own.train)
    assert "index.bin is not kept (read-only)" in caplog.text and not (own.train / INDEX).exists()


def test_cuts_that_lack_something_are_named(own: Toy) -> None:
    cuts = read_cuts(own.train)
    cuts[4].supervisions[0].speaker = None
    (own.train / CUTS).write_bytes(to_bytes(cuts))
    with pytest.raises(UserError, match=f"cut {cuts[4].id} wants one speaker, found none"):
        open_index(own.train)
    cuts[4].supervisions[0].speaker, cuts[4].features = "s", None
    (own.train / CUTS).write_bytes(to_bytes(cuts))
    with pytest.raises(UserError, match=f"cut {cuts[4].id} has no features"):
        open_index(own.train)
    (own.train / CUTS).write_bytes(b"no gzip")
    with pytest.raises(UserError, match=r"cuts.jsonl.gz is damaged near line 0"):
        open_index(own.train)
    (own.train / CUTS).write_bytes(to_bytes([]))
    with pytest.raises(UserError, match="holds no utterances"):
        open_index(own.train)


def test_a_cut_without_a_mean_is_named(own: Toy) -> None:
    with np.load(own.train / MEANS) as table:
        arrays = dict(table)
    np.savez(own.train / MEANS, **{k: v if k == "prior" else v[1:] for k, v in arrays.items()})
    with pytest.raises(UserError, match=f"means.npz lacks cut {arrays['cut_ids'][0]};"):
        open_index(own.train)


@pytest.mark.parametrize("mean", means.KINDS)
def test_numbers_and_cuts_name_the_same_features_in_any_thread(toy: Toy, mean: str) -> None:
    reader = FeatureReader(toy.train, mean)
    wanted = [reader.load(cut) for cut in reader.cuts]
    for one in (FeatureReader(toy.train, mean), pickle.loads(pickle.dumps(reader))):
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(one.load, [*range(len(one))] * 4))
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted * 4, strict=True))
        assert "cuts" not in vars(one)
