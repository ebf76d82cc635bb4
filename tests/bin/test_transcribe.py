"""`chainstitch transcribe`, and `align` of audio files: what their set gives, i-vectors or not."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from chainstitch.nnet import infer
from chainstitch.utils import checkpoint
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import IvectorReader
from chainstitch.utils.score.boundaries import ctm_words
from tests.toy import RATE, XCONFIG, Toy, run, trained

VOICES = "num_gauss = 8\ndim = 3\npca_dim = 10\nubm_iterations = 5\niterations = 4\n"


@pytest.fixture(scope="module")
def plain(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without i-vectors."""
    return trained(toy, tmp_path_factory.mktemp("plain") / "exp")


@pytest.fixture(scope="module")
def voiced(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with i-vectors; beside it `extractor`, and the sets with i-vectors of it."""
    place = tmp_path_factory.mktemp("voiced")
    (place / "voices.toml").write_text(VOICES)
    text = XCONFIG.replace("input name=input", "input name=ivector dim=3\ninput name=input")
    text = text.replace("(-1,0,1)", "(-1,0,1,ReplaceIndex(ivector, t, 0))")
    (place / "train.toml").write_text(toy.conf.read_text().replace(XCONFIG, text))
    sets = {"data": place / "train_hires", "valid": place / "dev_hires"}
    train = ("ivectors", "train", place / "voices.toml", "--data", toy.train)
    assert run(*train, "--out", place / "extractor") == 0
    for source, copy in zip((toy.train, toy.dev), sets.values(), strict=True):
        shutil.copytree(source, copy)
        options = ("--data", copy, "--online", "--per-speaker")
        assert run("ivectors", "extract", place / "extractor", *options) == 0
    exp = place / "exp"
    assert run(*toy.arguments(exp, conf=place / "train.toml", **sets)) == 0
    assert run("combine", exp, "--device", "cpu") == 0
    return exp


@pytest.fixture(scope="module")
def loud(voiced: Path) -> Path:
    """The same, with i-vectors that count for so much that words depend on them."""
    exp = Path(shutil.copytree(voiced, voiced.parent / "loud"))
    state = checkpoint.load(exp / "final.pt")
    [first] = [x for name, x in state["model"].items() if "tdnn1" in name and x.ndim == 2]
    first[:, -3:] *= 30
    checkpoint.save(state, exp / "final.pt")
    return exp


def dev_wavs(toy: Toy) -> list[Path]:
    """The dev set's audio, in the order of its cuts."""
    cuts = FeatureReader(toy.dev).cuts
    return [Path(cut.recording.sources[0].source) for cut in cuts]


def words(out: str, wavs: list[Path]) -> list[str]:
    """What `transcribe` printed of each file."""
    lines = out.splitlines()
    assert len(lines) == len(wavs)
    for line, wav in zip(lines, wavs, strict=True):
        assert line.split()[0] == str(wav)
    return [line.partition(" ")[2] for line in lines]


@pytest.mark.parametrize("kind", ["plain", "loud"])
def test_files_of_one_speaker_are_recognised_as_their_set_is(
    toy: Toy, kind: str, request: pytest.FixtureRequest, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    exp: Path = request.getfixturevalue(kind)
    wavs = dev_wavs(toy)
    data = toy.dev if kind == "plain" else exp.parent / "dev_hires"
    decode = ("decode", exp, "--data", data, "--lang", toy.lang, "--nj", 1, "--lmwt", 10)
    assert run(*decode, "--wip", 0, "--out", tmp_path / "decode") == 0
    capsys.readouterr()
    assert run("transcribe", exp, *wavs, "--one-speaker") == 0
    found = words(capsys.readouterr().out, wavs)
    [path] = (tmp_path / "decode").glob("hyp_*")
    lines = path.read_text().splitlines()
    hyp = dict((*line.split(maxsplit=1), "")[:2] for line in lines)
    assert found == [hyp[cut.id] for cut in FeatureReader(toy.dev).cuts]
    assert len(set(found)) >= 4


def test_features_and_i_vectors_of_files_are_those_of_the_set(toy: Toy, voiced: Path) -> None:
    wavs, model = dev_wavs(toy), infer.load_model(voiced)
    reader, voices = FeatureReader(toy.dev), IvectorReader(voiced.parent / "dev_hires")
    [(features, found)] = infer.wav_inputs(voiced, model, wavs, one_speaker=True)
    assert found is not None
    for cut, one, voice in zip(reader.cuts, features, found, strict=True):
        np.testing.assert_allclose(one, reader.load(cut), atol=1e-4)
        np.testing.assert_allclose(voice, voices.load(cut.id), atol=1e-3)
    apart = list(infer.wav_inputs(voiced, model, wavs))
    assert [len(features) for features, _ in apart] == [1] * len(wavs)
    first, last = apart[0][1], apart[-1][1]
    assert first is not None and last is not None
    np.testing.assert_array_equal(first[0], found[0])
    assert np.abs(last[0] - found[-1]).max() > 0.1  # it does not know the speaker's other files


def test_the_directory_knows_its_extractor(
    toy: Toy, voiced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extractor = voiced.parent / "extractor" / "ivector.pt"
    assert (voiced / "ivector.pt").read_bytes() == extractor.read_bytes()
    exp, wav = Path(shutil.copytree(voiced, tmp_path / "exp")), dev_wavs(toy)[0]
    for content, wanted in ((b"another", "is not the extractor"), (None, "is missing, the extrac")):
        (exp / "ivector.pt").unlink()
        if content:
            (exp / "ivector.pt").write_bytes(content)
        assert run("transcribe", exp, wav) == 1
        output = capsys.readouterr()
        assert wanted in output.err and not output.out
        assert "copy that one, the ivector.pt of `chainstitch ivectors train`" in output.err
    shutil.copy(extractor, exp)
    assert run("transcribe", exp, wav) == 0


def test_a_run_is_not_resumed_with_another_extractor(
    toy: Toy, voiced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exp = Path(shutil.copytree(voiced, tmp_path / "exp"))
    place = voiced.parent
    sets = {"data": place / "train_hires", "valid": place / "dev_hires"}
    again = toy.arguments(exp, "--resume", "auto", conf=place / "train.toml", **sets)
    assert run(*again) == 0
    (exp / "ivector.pt").write_bytes(b"another")
    assert run(*again) == 2
    assert "is of another extractor than" in capsys.readouterr().err


def test_files_are_aligned_as_their_set_is(toy: Toy, voiced: Path, tmp_path: Path) -> None:
    ctms, scores = {}, {}
    data = voiced.parent / "dev_hires"
    for name, what in {"set": ("--data", data), "files": (*dev_wavs(toy), "--one-speaker")}.items():
        assert run("align", voiced, *what, "--out", tmp_path / name) == 0
        ctms[name] = list(ctm_words(tmp_path / name / "ctm").values())
        lines = (tmp_path / name / "scores").read_text().splitlines()
        scores[name] = [float(line.split()[1]) for line in lines]
    assert ctms["set"] == ctms["files"] and len(set(scores["set"])) == len(dev_wavs(toy))
    assert scores["set"] == pytest.approx(scores["files"], abs=2e-4)


def test_another_sampling_rate_says_the_same_words(
    toy: Toy, plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wavs = dev_wavs(toy)[:3]
    assert run("transcribe", plain, *wavs) == 0
    wanted = words(capsys.readouterr().out, wavs)
    assert all(wanted)
    twice = [tmp_path / wav.name for wav in wavs]
    for wav, copy in zip(wavs, twice, strict=True):
        spectrum = np.fft.rfft(samples := soundfile.read(wav)[0])  # nothing above its old half rate
        doubled = 2 * np.fft.irfft(np.pad(spectrum, (0, len(samples) // 2)), 2 * len(samples))
        soundfile.write(copy, doubled.clip(-1, 1), 2 * RATE, subtype="PCM_16")
    assert run("transcribe", plain, *twice) == 0
    assert words(capsys.readouterr().out, twice) == wanted
    for wav, copy in zip(wavs, twice, strict=True):  # the same samples, said to be twice as fast
        soundfile.write(copy, soundfile.read(wav)[0], 2 * RATE, subtype="PCM_16")
    assert run("transcribe", plain, *twice) == 0
    assert words(capsys.readouterr().out, twice) != wanted


def test_bad_audio_is_named_before_any_word_is_printed(
    toy: Toy, voiced: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = dev_wavs(toy)[0], tmp_path / "bad.wav"
    noise = np.random.default_rng(0).normal(size=(RATE, 2)) / 10
    contents = {
        "no such file": lambda: None,
        "not readable as audio (4 bytes)": lambda: bad.write_bytes(b"RIFF"),
        "2 channels, wanted one": lambda: soundfile.write(bad, noise, RATE),
        "shorter than one frame": lambda: soundfile.write(bad, noise[:50, 0], RATE),
    }
    for wanted, write in contents.items():
        write()
        assert run("transcribe", voiced, good, bad) == 1
        output = capsys.readouterr()
        assert f"{bad}: " in output.err and wanted in output.err and not output.out
    assert run("transcribe", tmp_path, good) == 1
    assert (
        "has no config.toml; give a directory that `chainstitch train` wrote"
        in capsys.readouterr().err
    )
