"""Each kind of fault is found, named and counted; nothing is touched until it is fixed."""

from __future__ import annotations

import dataclasses
import gzip
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from chainstitch.utils.data import manifests, validate
from chainstitch.utils.data.audio_check import wav_data_bytes
from chainstitch.utils.errors import UsageError, UserError


def edit(directory: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Changes the cuts' JSON in place, as a person or another program might."""
    path = directory / manifests.CUTS
    items = lines_of(path)
    change(items)
    path.write_bytes(gzip.compress("".join(json.dumps(i) + "\n" for i in items).encode()))


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]


def found(report: validate.Report) -> dict[str, list[str]]:
    return {k: [report.cuts[n].id for n in v] for k, v in report.problems.items() if v}


def test_a_clean_set_gives_one_line(small_set: Callable[..., Path]) -> None:
    report = validate.check_set(small_set())
    assert (report.lines(), report.bad) == ([], set())
    assert report.summary().endswith("train: 7 utterances, 0.00 h, 2 speakers: ok")


def test_audio_faults_are_told_apart(small_set: Callable[..., Path], tmp_path: Path) -> None:
    directory = small_set()
    audio = {k: tmp_path / "audio" / f"train-{'ab'[k % 2]}{k}.wav" for k in range(6)}
    audio[0].unlink()
    audio[1].write_bytes(audio[1].read_bytes()[:1000])
    audio[2].write_bytes(b"RIFF nothing of the sort")
    soundfile.write(audio[3], np.zeros(9000), 8000)
    bad = np.zeros(4000 + 37 * 4)
    bad[7] = np.nan
    soundfile.write(audio[4], bad, 8000, subtype="FLOAT")
    report = validate.check_set(directory)
    assert found(report) == {
        "missing": ["a-string", "a0"],
        "unreadable": ["a-string", "a2"],
        "samples": ["a4"],
        "truncated": ["b1"],
        "length": ["b3"],
    }
    text = "\n".join(report.lines())
    assert "audio file missing: 2: a-string, a0" in text and str(audio[0]) in text
    assert [cut.id for cut in validate.without_problems(report)] == ["b5"]


def test_a_wav_cut_short_before_it_was_prepared_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.ones(5000) * 0.1, 8000, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:8044])
    recording = manifests.read_recording(path, "x")
    assert recording.num_samples == 4000  # libsndfile says nothing
    manifests.write_set(tmp_path / "set", [manifests.whole_cut(recording, "YES", "a")])
    report = validate.check_set(tmp_path / "set")
    assert found(report) == {"truncated": ["x"]}
    assert "holds 8000 of the 10000 bytes its header declares" in report.lines()[0]


def test_a_streamed_wav_without_a_size_is_not_called_truncated(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, np.ones(5000) * 0.1, 8000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFFF)
    assert wav_data_bytes(path) == (10000, 10000)
    path.write_bytes(bytes(content))
    assert wav_data_bytes(path) is None


def test_transcripts_words_and_speakers(small_set: Callable[..., Path], tmp_path: Path) -> None:
    directory = small_set(mixed=False)

    def change(items: list[dict[str, Any]]) -> None:
        items[0]["supervisions"][0]["text"] = " "
        items[1]["supervisions"][0]["text"] = "YES YESS NOO YESS"
        items[2]["supervisions"][0]["speaker"] = None

    edit(directory, change)
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("YES Y E S\n" + "".join(f"WORD{k} W\n" for k in range(6)))
    before = (directory / manifests.CUTS).read_bytes()
    report = validate.check_set(directory, lexicon)
    assert found(report) == {"empty": ["a0"], "lexicon": ["a2"], "speaker": ["a4"]}
    assert report.lines()[-2:] == [
        f"{directory}: not in {lexicon}: YESS 2",
        f"{directory}: not in {lexicon}: NOO 1",
    ]
    assert f"add YESS, NOO to {lexicon}" in report.error() and "--fix" in report.error()
    assert (directory / manifests.CUTS).read_bytes() == before
    with pytest.raises(UsageError, match="nowhere.txt does not exist"):
        validate.check_set(directory, tmp_path / "nowhere.txt")


def test_times_ids_and_rates(small_set: Callable[..., Path]) -> None:
    directory = small_set(mixed=False)

    def change(items: list[dict[str, Any]]) -> None:
        items[0]["duration"] = items[0]["supervisions"][0]["duration"] = 0.1
        items[1]["supervisions"][0]["duration"] = 0.9
        items[3]["id"] = items[2]["id"]
        items[4]["recording"]["sampling_rate"] = 16000
        items[4]["recording"]["num_samples"] *= 2

    edit(directory, change)
    report = validate.check_set(directory)
    problems = found(report)
    assert problems.pop("length") == ["b3"]
    assert problems == {"short": ["a0"], "outside": ["a2"], "duplicate": ["a4"], "rate": ["b3"]}
    assert [cut.id for cut in validate.without_problems(report)] == ["a4", "b5"]


def test_overlaps_within_a_recording_keep_the_earlier(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(0).standard_normal(32000) * 0.1, 8000)
    whole = manifests.whole_cut(manifests.read_recording(path, "long"), "A", "s")

    def piece(name: str, start: float, duration: float) -> Any:
        segment = dataclasses.replace(whole.supervisions[0], id=name, duration=duration)
        return dataclasses.replace(
            whole, id=name, start=start, duration=duration, supervisions=[segment]
        )

    cuts = [piece("w", 0, 1.0), piece("x", 0.995, 1.0), piece("y", 1.5, 1.0), piece("z", 2.0, 0.5)]
    manifests.write_set(tmp_path / "set", cuts)
    report = validate.check_set(tmp_path / "set")
    assert found(report) == {"overlap": ["y"]}  # 5 ms of rounding are no overlap
    assert "y begins before the end of x" in report.lines()[0]


def test_a_recording_in_several_cuts_is_no_overlap(small_set: Callable[..., Path]) -> None:
    assert not validate.check_set(small_set(mixed=True)).bad


def test_overlap_within_a_mix_is_found(small_set: Callable[..., Path]) -> None:
    directory = small_set()

    def change(items: list[dict[str, Any]]) -> None:
        items[0]["tracks"][1]["offset"] = 0.3

    edit(directory, change)
    assert found(validate.check_set(directory)) == {"overlap": ["a-string"]}


def test_fixing_keeps_the_good_cuts_and_other_files(
    small_set: Callable[..., Path], tmp_path: Path
) -> None:
    directory = small_set()
    (directory / "notes").write_text("mine")
    (tmp_path / "audio" / "train-a2.wav").unlink()
    report = validate.check_set(directory)
    manifests.replace_cuts(directory, validate.without_problems(report))
    again = validate.check_set(directory)
    assert again.bad == set() and [cut.id for cut in again.cuts] == ["a0", "a4", "b1", "b3", "b5"]
    for name in (manifests.RECORDINGS, manifests.SUPERVISIONS):
        assert [item["id"] for item in lines_of(directory / name)] == [cut.id for cut in again.cuts]
    assert (directory / "notes").read_text() == "mine"


def test_fixing_never_empties_a_set(small_set: Callable[..., Path], tmp_path: Path) -> None:
    directory = small_set()
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("NO N O\n")
    with pytest.raises(UserError, match="would drop all"):
        validate.without_problems(validate.check_set(directory, lexicon))


def test_shared_speakers_are_said(small_set: Callable[..., Path]) -> None:
    reports = [validate.check_set(small_set(name)) for name in ("train", "dev")]
    (line,) = validate.shared_speakers(reports)
    assert line.endswith("dev share 2 speakers: a, b")
