"""Sets made of sets: whole, in order, with the bytes that `write_set` writes, or not at all."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import SupervisionSegment
from lhotse.cut import Cut, MonoCut

from chainstitch.utils.data import duplicates, merged, pseudo_speakers, renamed, subset
from chainstitch.utils.data.manifests import (
    CUTS,
    cut_speaker,
    cut_text,
    read_cuts,
    read_recording,
    write_set,
)
from chainstitch.utils.data.samples import load_samples
from chainstitch.utils.data.segment_times import extend_set
from chainstitch.utils.data.set_stream import rows, write_rows
from chainstitch.utils.data.short_utterances import combine_short
from chainstitch.utils.errors import UsageError, UserError

RATE = 8000


@pytest.fixture
def talks(tmp_path: Path) -> Path:
    """Two talks of a minute and their segments, by two speakers each in the first."""
    cuts: list[Cut] = []
    for number, talk in enumerate(("t1", "t2")):
        wave = np.random.default_rng(number).standard_normal(60 * RATE) * 0.1
        soundfile.write(tmp_path / f"{talk}.wav", wave, RATE, subtype="PCM_16")
        recording = read_recording(tmp_path / f"{talk}.wav", talk)
        start = 0.5
        for k, seconds in enumerate((0.5, 2.0, 0.4, 1.7, 0.3, 5.0)):
            name, speaker = f"{talk}-u{k}", f"{talk}-{k % 2}" if talk == "t1" else talk
            segment = SupervisionSegment(
                name, talk, 0.0, seconds, text=f"word{k} yes" if k % 3 else "yes", speaker=speaker
            )
            cuts.append(MonoCut(name, start, seconds, 0, [segment], recording=recording))
            start += seconds + 0.1
    write_set(tmp_path / "talks", cuts)
    return tmp_path / "talks"


def same_bytes(one: Path, other: Path) -> bool:
    """Whether two sets are the same, byte for byte."""
    names = ("cuts", "recordings", "supervisions")
    return all((one / f"{n}.jsonl.gz").read_bytes() == (other / f"{n}.jsonl.gz").read_bytes()
               for n in names)  # fmt: skip


def test_a_set_goes_through_line_by_line_without_a_change(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    data = small_set()  # with a mix
    assert write_rows(tmp_path / "out", (row.item() for row in rows(data))) == 7
    assert same_bytes(data, tmp_path / "out")


def test_what_comes_of_an_operation_is_what_write_set_would_write(
    talks: Path, tmp_path: Path
) -> None:
    subset.subset(talks, tmp_path / "half", 6)
    combine_short(talks, tmp_path / "combined", 1.55)
    extend_set(talks, tmp_path / "longer", 0.15, 0.1, 0.1)
    renamed.copy_set(talks, tmp_path / "copy", "sp1.0-", "sp1.0-", "sp1.0-")
    merged.merge_sets([talks, tmp_path / "copy"], tmp_path / "both")
    pseudo_speakers.split_speakers(talks, tmp_path / "split", 4.0)
    for name, count in (
        ("half", 6), ("combined", 6), ("longer", 12), ("copy", 12), ("both", 24), ("split", 12)
    ):  # fmt: skip
        cuts = read_cuts(tmp_path / name)
        write_set(tmp_path / "again", cuts, overwrite=True)
        assert len(cuts) == count and same_bytes(tmp_path / name, tmp_path / "again"), name


def test_joined_utterances_sound_and_read_as_their_parts(talks: Path, tmp_path: Path) -> None:
    assert combine_short(talks, tmp_path / "out", 1.55) == (12, 6)
    parts = {cut.id: cut for cut in read_cuts(talks)}
    found = {cut.id: cut for cut in read_cuts(tmp_path / "out")}
    assert list(found) == [
        "t1-u0-comb4", "t1-u3", "t1-u5", "t2-u0-comb2", "t2-u2-comb3", "t2-u5",
    ]  # fmt: skip
    assert cut_speaker(found["t1-u0-comb4"]) == "t1-1"  # 1.2 s of the one, 2 s of the other
    joined = found["t2-u0-comb2"]
    members = [parts["t2-u0"], parts["t2-u1"]]
    assert cut_text(joined) == "yes word1 yes" and cut_speaker(joined) == "t2"
    wanted = np.concatenate([load_samples(cut) for cut in members])
    assert np.allclose(load_samples(joined), wanted, atol=1e-6)
    assert all(cut.duration >= 1.55 for cut in found.values())


def test_pseudo_speakers_are_short_and_nothing_else_changes(talks: Path, tmp_path: Path) -> None:
    assert pseudo_speakers.split_speakers(talks, tmp_path / "out", 4.0) == (12, 3, 6)
    before, after = read_cuts(talks), read_cuts(tmp_path / "out")
    for one, other in zip(before, after, strict=True):
        assert cut_speaker(other).startswith(f"{cut_speaker(one)}-")
        other.supervisions[0].speaker = cut_speaker(one)
        assert one == other


def test_longer_segments_stay_in_their_recordings(talks: Path, tmp_path: Path) -> None:
    done = extend_set(talks, tmp_path / "out", 1.0, 0.1, 60.0)
    assert done == (12, 10, 0)
    for old, new in zip(read_cuts(talks), read_cuts(tmp_path / "out"), strict=True):
        (segment,) = new.supervisions
        assert (segment.start, segment.duration) == (0.0, new.duration)
        assert 0 <= new.start <= old.start and new.end <= new.recording.duration
    cut = next(c for c in read_cuts(tmp_path / "out") if c.id == "t1-u0")
    assert cut.start == 0.0 and len(load_samples(cut)) == round(cut.duration * RATE)


def test_segments_around_others_may_be_left_out(talks: Path, tmp_path: Path) -> None:
    cuts = read_cuts(talks)[:2]
    for cut, (start, seconds) in zip(cuts, ((0.0, 10.0), (4.0, 1.0)), strict=True):
        cut.start, cut.duration, cut.supervisions[0].duration = start, seconds, seconds
    write_set(tmp_path / "nested", cuts)
    assert extend_set(tmp_path / "nested", tmp_path / "out", 0.1, 0.1, 0.1).left_out == 1


def test_subsets(talks: Path, tmp_path: Path) -> None:
    ids = [row.cut.id for row in rows(talks)]

    def chosen(count: int, how: str) -> list[int]:
        subset.subset(talks, tmp_path / "out", count, how, overwrite=True)
        return [ids.index(row.cut.id) for row in rows(tmp_path / "out")]

    assert chosen(5, "even") == [2, 5, 8, 9, 11]
    assert chosen(3, "first") == [0, 1, 2] and chosen(2, "last") == [10, 11]
    assert chosen(4, "shortest") == [2, 4, 8, 10]
    assert chosen(2, "per-speaker") == [0, 1, 2, 3, 6, 9]
    assert len(chosen(4, "speakers")) in (6, 9)
    assert chosen(99, "shortest") == list(range(12))
    (tmp_path / "ids").write_text("t2-u0 and more\n\nt1-u3\nunknown\n")
    for listed in (tmp_path / "ids", tmp_path / "out"):
        subset.listed(talks, tmp_path / "some", listed, overwrite=True)
        kept = [row.cut.id for row in rows(tmp_path / "some")]
        assert kept == (["t1-u3", "t2-u0"] if listed.name == "ids" else ids)


def test_duplicates_go_and_features_are_left_behind(talks: Path, tmp_path: Path) -> None:
    assert duplicates.remove_duplicates(talks, tmp_path / "out", 2) == (12, 10)
    texts = [cut_text(cut) for cut in read_cuts(tmp_path / "out")]
    assert texts.count("yes") == 2 and texts.count("word1 yes") == 2


def test_what_cannot_be_is_named_with_its_line_and_nothing_is_written(
    talks: Path, tmp_path: Path
) -> None:
    path, out = talks / CUTS, tmp_path / "out"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()

    def refused(number: int, line: str, said: str) -> None:
        changed = [*lines[: number - 1], line, *lines[number:]]
        path.write_bytes(gzip.compress("\n".join(changed).encode()))
        for operation in (
            lambda: combine_short(talks, out, 1.55),
            lambda: pseudo_speakers.split_speakers(talks, out, 4.0),
        ):
            with pytest.raises(UserError, match=said):
                operation()
            assert sorted(p.name for p in tmp_path.iterdir()) == ["t1.wav", "t2.wav", "talks"]

    refused(3, "{", r"cuts.jsonl.gz is damaged near line 3")
    refused(3, lines[0], r"cuts.jsonl.gz:3: cut t1-u0 comes after t1-u1, wanted the order")
    silent = json.loads(lines[2])
    silent["supervisions"][0].pop("speaker")
    refused(3, json.dumps(silent), r"cuts.jsonl.gz:3: cut t1-u2 wants one speaker, found none")
    silent["duration"] = -1
    refused(3, json.dumps(silent), r"cuts.jsonl.gz:3: cut 't1-u2' has start .* duration -1")


def test_sets_that_cannot_be_merged(talks: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="utterance t1-u0 is at .*talks.*:1, too.*--utterance-pre"):
        merged.merge_sets([talks, talks], tmp_path / "out")
    renamed.copy_set(talks, tmp_path / "copy", "b-")
    assert merged.merge_sets([talks, tmp_path / "copy"], tmp_path / "both") == 24  # same audio
    cuts = read_cuts(tmp_path / "copy")
    for cut in cuts:
        cut.recording.sources[0].source = "/elsewhere.wav"
    write_set(tmp_path / "copy", cuts, overwrite=True)
    with pytest.raises(UserError, match="two recordings have the id t1 and are not the same"):
        merged.merge_sets([talks, tmp_path / "copy"], tmp_path / "out")
    with pytest.raises(UsageError, match="the prefix 'a b' has white space"):
        renamed.copy_set(talks, tmp_path / "out", "a b")
    assert not (tmp_path / "out").exists()


def test_a_manifest_in_no_order_is_put_in_order_by_copying(talks: Path, tmp_path: Path) -> None:
    path = talks / CUTS
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    renamed.copy_set(talks, tmp_path / "before")
    path.write_bytes(gzip.compress("\n".join(reversed(lines)).encode()))
    renamed.copy_set(talks, tmp_path / "after")
    assert same_bytes(tmp_path / "before", tmp_path / "after")
