"""Manifests of strangers: nothing in them is run or fetched, and what cannot be is named."""

from __future__ import annotations

import base64
import copy
import gzip
import json
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from lhotse.cut import MixedCut, MixTrack

from chainstitch.utils.corpora import kaldi_export
from chainstitch.utils.data import ivectors, manifests, validate
from chainstitch.utils.data.extraction import extract_set
from chainstitch.utils.data.features import FeatureConfig, FeatureReader
from chainstitch.utils.data.waveform import read_features
from chainstitch.utils.errors import UserError
from tests.faults.refusals import outcome, refused

CONFIG = FeatureConfig(sampling_rate=8000, num_mel_bins=20, num_ceps=13)
TOML = "sampling_rate = 8000\nnum_mel_bins = 20\nnum_ceps = 13\n"
TOUCH = "touch RAN"
Item = dict[str, Any]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: set `data` of a.wav, b.wav and c.wav, and features.toml."""
    monkeypatch.chdir(tmp_path)
    cuts = []
    for n, name in enumerate("abc"):
        noise = np.random.default_rng(n).normal(size=4000) * 0.1
        soundfile.write(f"{name}.wav", noise, 8000, subtype="PCM_16")
        recording = manifests.read_recording(Path(f"{name}.wav"), name)
        cuts.append(manifests.whole_cut(recording, f"YES {n}", "s"))
    manifests.write_set("data", cuts)
    Path("features.toml").write_text(TOML)
    return tmp_path


def edit(change: Callable[[list[Item]], None], data: str = "data") -> None:
    """Changes the cuts' JSON as whoever sends a manifest might."""
    path = Path(data, manifests.CUTS)
    items = [json.loads(line) for line in gzip.decompress(path.read_bytes()).split(b"\n") if line]
    change(items)
    path.write_bytes(gzip.compress("".join(json.dumps(i) + "\n" for i in items).encode()))


FEATURES = ["features", "features.toml", "--data", "data", "--out", "hires"]


# -- nothing is run or fetched


class _Bomb:
    def __reduce__(self) -> Any:
        return exec, ("open('RAN', 'w')",)


def _source(kind: str, source: str) -> Item:
    return {"type": kind, "channels": [0], "source": source}


def _recording(source: Item) -> Item:
    return {
        "id": "r", "sources": [source], "sampling_rate": 8000, "num_samples": 4000, "duration": 0.5,
    }  # fmt: skip


def _in_sources(source: Item) -> Callable[[Item], None]:
    return lambda cut: cut["recording"].update(sources=[source])


def _in_transform(cut: Item) -> None:
    kwargs = {"rir": _recording(_source("command", TOUCH)), "rir_channels": [0]}
    cut["recording"]["transforms"] = [{"name": "ReverbWithImpulseResponse", "kwargs": kwargs}]


def _in_track(cut: Item) -> None:
    track = copy.deepcopy(cut)
    track["recording"]["sources"] = [_source("command", TOUCH)]
    own = copy.deepcopy(cut)
    tracks = [
        {"cut": part, "type": part.pop("type"), "offset": n} for n, part in enumerate([own, track])
    ]
    name = cut["id"]
    cut.clear()
    cut.update(id=name, type="MixedCut", tracks=tracks)


def _array(kind: str, place: str, key: str = "k") -> Item:
    return {"storage_type": kind, "storage_path": place, "storage_key": key, "shape": [1]}


def _in_custom(value: Item) -> Callable[[Item], None]:
    return lambda cut: cut.update(custom={"mine": value})


BOMB = base64.b64encode(pickle.dumps(_Bomb())).decode()
FOREIGN: dict[str, tuple[Callable[[Item], None], str]] = {
    "command": (_in_sources(_source("command", f"{TOUCH}; cat a.wav")), "type 'command'"),
    "url": (_in_sources(_source("url", "http://127.0.0.1:PORT/a.wav")), "type 'url'"),
    "url as file": (_in_sources(_source("file", "http://127.0.0.1:PORT/a.wav")), "behind a URL"),
    "url as pipe": (_in_sources(_source("url", f"pipe:{TOUCH}")), "type 'url'"),
    "pipe as file": (_in_sources(_source("file", f"pipe:{TOUCH}")), "URL or pipe"),
    "standard input": (_in_sources(_source("file", "-")), "URL or pipe"),
    "unknown": (_in_sources(_source("teleport", "a.wav")), "type 'teleport'"),
    "impulse response": (_in_transform, "type 'command'"),
    "track of a mix": (_in_track, "type 'command'"),
    "recording of its own": (
        _in_custom(_recording(_source("command", TOUCH))), "type 'command'",
    ),
    "pickle": (_in_custom(_array("memory_raw", "", BOMB)), "storage type 'memory_raw'"),
    "Kaldi's pipe": (_in_custom(_array("kaldiio", f"{TOUCH} |")), "storage type 'kaldiio'"),
    "array by URL": (_in_custom(_array("lilcom_url", "http://127.0.0.1:PORT/")), "'lilcom_url'"),
    "array file by URL": (
        _in_custom(_array("numpy_files", "http://127.0.0.1:PORT/")), "array behind a URL",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FOREIGN)
def test_nothing_in_a_manifest_is_run_or_fetched(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from chainstitch.utils.data.samples import load_samples

    change, wanted = FOREIGN[name]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = str(server.getsockname()[1])

        def put(items: list[Item]) -> None:
            change(items[1])
            items[:] = json.loads(json.dumps(items).replace("PORT", port))

        edit(put)
        line = refused(FEATURES, place, capsys)
        assert "cut b" in line and wanted in line and "--allow-commands" in line
        assert "foreign" in validate.check_set("data").problems
        code, said, line = outcome(["validate", "data"], capsys)
        assert code == 1 and "made by a command, fetched, or a pickle" in line and "b (" in said
        with pytest.raises(UserError, match="--allow-commands"):
            extract_set("data", "other", CONFIG)
        with pytest.raises(UserError, match="--allow-commands"):
            load_samples(manifests.read_cuts("data")[1])
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()
    assert not Path("RAN").exists()


def test_a_file_name_is_no_command(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """lhotse hands the name of a .sph to a shell as it stands."""
    odd = Path("a;touch RAN;.sph")
    Path("b.wav").rename(odd)
    edit(lambda items: items[1]["recording"].update(sources=[_source("file", str(odd))]))
    assert outcome(["validate", "data"], capsys)[0] == 0
    assert outcome(FEATURES, capsys)[0] == 0
    assert len(read_features(odd, CONFIG)) == 50  # what transcribe and align read
    assert not Path("RAN").exists()


def test_commands_that_are_allowed_are_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert outcome(FEATURES, capsys)[0] == 0
    edit(lambda items: items[1]["recording"].update(sources=[_source("command", "cat b.wav")]))
    assert outcome([*FEATURES[:-1], "again", "--allow-commands"], capsys)[0] == 0
    assert outcome(["validate", "data", "--allow-commands"], capsys)[0] == 0
    ours, theirs = FeatureReader("hires"), FeatureReader("again")
    for n in range(3):
        assert np.array_equal(ours.load_raw(n), theirs.load_raw(n))


@pytest.mark.parametrize("name", ["touch RAN |", "| touch RAN", "b\nc touch RAN |"])
def test_a_kaldi_directory_gets_no_command_from_a_file_name(place: Path, name: str) -> None:
    edit(lambda items: items[1]["recording"].update(sources=[_source("file", name)]))
    with pytest.raises(UserError, match="as a command"):
        kaldi_export.export("data", "kaldi")
    edit(lambda items: items[1]["recording"].update(sources=[_source("command", TOUCH)]))
    with pytest.raises(UserError, match="--allow-commands"):
        kaldi_export.export("data", "kaldi")
    assert not Path("kaldi").exists()


# -- ids

BAD_IDS = {
    "": "is empty", ".": "part that is empty, . or ..", "..": "part that is empty, . or ..",
    "/": "part that is", "/a": "part that is", "a/": "part that is", "a//b": "part that is",
    "a/../b": "part that is", "a b": "white space", "a\tb": "white space",
    "a\u00a0b": "white space",
    "a\u2028b": "white space", "a\nb": "white space", "a\0b": "control character",
    "a\x1b[31mb": "control character", "a\x85b": "white space", "a\ud800b": "half a character",
    ";;a": "begins with ;;", "x" * 241: "241 bytes", "\u00e4" * 121: "242 bytes",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_IDS)
def test_ids_that_cannot_be_names_or_fields(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lambda items: items[1].update(id=name))
    line = refused(FEATURES, place, capsys)
    assert f"{manifests.CUTS}:2: cut {name!r}" in line and BAD_IDS[name] in line
    code, said, line = outcome(["validate", "data"], capsys)
    assert code == 1 and "that cannot be (1)" in line and repr(name) in said
    cuts = manifests.read_any_cuts("data")
    with pytest.raises(UserError, match="has an id that"):
        manifests.write_set("other", cuts)
    assert outcome(["validate", "data", "--fix"], capsys)[0] == 0
    assert [cut.id for cut in manifests.read_cuts("data")] == ["a", "c"]


GOOD_IDS = ("a", "a/b", "\u00e4-1", "x" * 240, ".a", "a.b", "#1", "-a", "\u304b")


@pytest.mark.parametrize("name", GOOD_IDS)
def test_ids_that_can_be(place: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    edit(lambda items: (items.pop(0), items[0].update(id=name)))
    assert outcome(["validate", "data"], capsys)[0] == 0
    assert outcome(FEATURES, capsys)[0] == 0
    assert FeatureReader("hires").load(0).shape == (50, 13)


@pytest.mark.parametrize("names", [("x", "x/y"), ("x/y/z", "x/y"), ("a/b/c", "a")])
def test_no_utterance_lies_in_another(
    place: Path, names: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lambda items: [items[n + 1].update(id=name) for n, name in enumerate(names)])
    wanted = f"of the utterances {min(names)!r} and {max(names)!r}"
    assert wanted in refused(FEATURES, place, capsys)
    assert wanted in refused(["validate", "data"], place, capsys)


@pytest.mark.parametrize("name", ["two words", "a\0b", "a\ud800", ";;"])
def test_speakers_are_fields_of_lines(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lambda items: items[1]["supervisions"][0].update(speaker=name))
    assert f"has the speaker {name!r}" in refused(FEATURES, place, capsys)
    edit(lambda items: items[1]["supervisions"][0].update(speaker="s"))
    edit(lambda items: items[1]["recording"].update(id=name))
    assert f"has the recording {name!r}" in refused(FEATURES, place, capsys)


def test_an_utterance_is_not_called_like_the_extractor(place: Path) -> None:
    for name in (ivectors.MODEL, f"{ivectors.MODEL}/a"):
        matrices = iter([(name, np.zeros((1, 3)))])
        with pytest.raises(UserError, match="has the name of the extractor"):
            ivectors.write_ivectors(place / "ivectors.h5", matrices, 0, 3, b"model")
    assert not (place / "ivectors.h5").exists()


# -- times, channels, texts


def _multi(cut: Item) -> None:
    cut.update(type="MultiCut", channel=[0, 1])
    cut["recording"]["sources"][0]["channels"] = [0, 1]
    cut["recording"]["channel_ids"] = [0, 1]


def _padded(cut: Item) -> None:
    own = copy.deepcopy(cut)
    padding = {"id": "p", "duration": 1e9, "sampling_rate": 8000, "feat_value": 0.0}
    tracks = [
        {"cut": own, "type": own.pop("type"), "offset": 0.0},
        {"cut": padding, "type": "PaddingCut", "offset": 0.5},
    ]
    cut.clear()
    cut.update(id="b", type="MixedCut", tracks=tracks)


def _set(*path: Any) -> Callable[[Item], None]:
    def change(cut: Item) -> None:
        node: Any = cut
        for step in path[:-2]:
            node = node[step]
        node[path[-2]] = path[-1]

    return change


NAN, INF = float("nan"), float("inf")
BROKEN: dict[str, tuple[Callable[[Item], None], str]] = {
    "NaN start": (_set("start", NAN), "start nan"),
    "infinite start": (_set("start", INF), "start inf"),
    "start as a text": (_set("start", "0"), "start '0'"),
    "NaN duration": (_set("duration", NAN), "duration nan"),
    "no duration": (_set("duration", 0.0), "duration 0.0"),
    "eleven days": (_set("duration", 1e6), "lasts 1000000 s"),
    "channel 3": (_set("channel", 3), "channel 3, its recording has 0"),
    "channel as a text": (_set("channel", "0"), "channel '0'"),
    "two channels": (_multi, "is a MultiCut"),
    "NaN in a supervision": (_set("supervisions", 0, "start", NAN), "supervision from nan"),
    "text that is a number": (_set("supervisions", 0, "text", 5), "is not a text"),
    "half a character": (_set("supervisions", 0, "text", "a\ud800"), "is not a text"),
    "speaker that is a number": (_set("supervisions", 0, "speaker", 7), "the speaker 7"),
    "rate as a text": (_set("recording", "sampling_rate", "8000"), "'8000' Hz"),
    "no samples": (_set("recording", "num_samples", 0), "0 samples"),
    "file with a NUL": (_set("recording", "sources", 0, "source", "a\0"), "whose file is"),
    "file that is a number": (_set("recording", "sources", 0, "source", 7), "whose file is 7"),
    "no source": (_set("recording", "sources", []), "has no audio"),
    "endless padding": (_padded, "padding of 1000000000.0 seconds"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_cuts_that_cannot_be_are_named(
    place: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change, wanted = BROKEN[name]
    edit(lambda items: change(items[1]))
    line = refused(FEATURES, place, capsys)
    assert wanted in line, line
    if name != "no source":  # a cut may well be read that only has words
        assert f"{manifests.CUTS}:2: cut 'b'" in line
    code, said, line = outcome(["validate", "data"], capsys)
    assert code == 1 and "that cannot be (1)" in line
    assert wanted in said or "'b' has a recording without a source" in said
    assert outcome(["validate", "data", "--fix"], capsys)[0] == 0
    assert [cut.id for cut in manifests.read_cuts("data")] == ["a", "c"]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("[" * 100_000, "RecursionError"),
        ("[]", "TypeError"),
        ('"text"', "TypeError"),
        ('{"type": "Recording"}', "Unexpected cut type"),
        (json.dumps(_recording(_source("file", "a.wav"))), "found a Recording, wanted a cut"),
        ('{"type": "MonoCut", "recording": []}', "damaged near line 1"),
        ('{"type": "MonoCut", "supervisions": 5}', "damaged near line 1"),
        ('{"type": "MixedCut", "id": "x", "tracks": [3]}', "damaged near line 1"),
        ('{"type": "MixedCut", "id": "x", "tracks": []}', "has no tracks"),
    ],
)
def test_lines_that_are_no_cuts_are_named(
    place: Path, line: str, wanted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("data", manifests.CUTS).write_bytes(gzip.compress(line.encode() + b"\n"))
    assert wanted in refused(FEATURES, place, capsys)
    if wanted != "has no tracks":
        assert wanted in refused(["validate", "data"], place, capsys)


def test_a_supervision_outside_its_cut_is_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lies in the recording, so its words would be expected where they are not."""

    def shorten(items: list[Item]) -> None:
        items[1]["duration"] = 0.3

    edit(shorten)
    code, said, line = outcome(["validate", "data"], capsys)
    assert code == 1 and "times outside the recording or the cut (1)" in line
    assert "0.000 to 0.500 of a cut of 0.300 s" in said


def test_cuts_of_features_alone_are_no_audio(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(lambda items: items[1].pop("recording"))
    assert "cut b has no audio" in refused(FEATURES, place, capsys)
    code, said, _ = outcome(["validate", "data"], capsys)
    assert code == 1 and "'b' has neither a recording nor features" in said


# -- several supervisions in a cut


def test_joined_supervisions_are_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def halve(items: list[Item]) -> None:
        first = items[1]["supervisions"][0]
        first["duration"] = 0.25
        items[1]["supervisions"].append({**first, "id": "b2", "start": 0.25, "text": "NO"})

    wanted = "1 cuts hold several supervisions each, and are taken for one utterance"
    assert wanted not in outcome(["validate", "data"], capsys)[1]
    edit(halve)
    code, said, _ = outcome(["validate", "data"], capsys)
    assert code == 0 and f"warning: data: {wanted} with all their words: b;" in said
    code, said, _ = outcome(FEATURES, capsys)
    assert code == 0 and wanted in said and "trim_to_supervisions" in said


def test_a_mix_is_joined_on_purpose(place: Path) -> None:
    first, second, _ = manifests.read_cuts("data")
    mix = MixedCut("mix", [MixTrack(first, offset=0.0), MixTrack(second, offset=0.6)])
    assert len(mix.supervisions) == 2
    assert validate.joined_warning([mix], "data") is None
