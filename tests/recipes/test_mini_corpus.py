"""The synthetic corpus of egs/mini: the same bytes every time, and what its files promise."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

LOCAL = Path(__file__).resolve().parents[2] / "egs" / "mini" / "local"
SETS = ("train", "dev", "test")


def load(name: str) -> ModuleType:
    """One of the recipe's own modules, under a name that nothing else has."""
    spec = importlib.util.spec_from_file_location(f"egs_mini_{name}", LOCAL / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


grammar = load("grammar")
noise = load("noise")
espeak_events = sys.modules["espeak_events"] = load("espeak_events")  # as speech.py imports it
speech = load("speech")


def run(*options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(LOCAL / "make_corpus.py"), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True)


def hashes(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def table(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    rows = dict(line.split(" ", 1) for line in lines)
    assert list(rows) == sorted(rows) and len(rows) == len(lines)
    return rows


@pytest.fixture(scope="module")
def espeak() -> None:
    """Skips where the synthesiser is not installed, unless this run must not skip."""
    if importlib.util.find_spec("espeakng_loader") is None:
        reason = "espeakng-loader is not installed: pip install 'chainstitch[mini]'"
        if os.environ.get("CHAINSTITCH_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="module")
def corpus(espeak: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mini") / "corpus"
    result = run("--out", out, "--minutes", 1)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 1
    assert result.stderr == ""
    return out


def test_every_word_has_a_pronunciation_and_no_other_word_has() -> None:
    lines = (LOCAL / "lexicon.txt").read_text(encoding="utf-8").splitlines()
    entries = [line.split() for line in lines]
    assert {entry[0] for entry in entries} == set(grammar.words())
    assert all(len(entry) > 1 and "".join(entry[1:]).isalpha() for entry in entries)
    assert len(set(lines)) == len(lines)


def test_grammar_has_enough_words_and_says_all_of_them_often() -> None:
    assert 60 <= len(grammar.words()) <= 100
    source = grammar.Grammar(np.random.default_rng(0))
    said = Counter(word for _ in range(900) for word in source.sentence().split())
    assert set(said) == set(grammar.words())
    assert min(said.values()) >= 10


def test_grammar_is_decided_by_its_generator() -> None:
    first, second, other = (grammar.Grammar(np.random.default_rng(seed)) for seed in (3, 3, 4))
    sentences = [[source.sentence() for _ in range(50)] for source in (first, second, other)]
    assert sentences[0] == sentences[1] != sentences[2]


def test_resampling_keeps_what_the_new_rate_can_hold_and_no_alias() -> None:
    time_22 = np.arange(22050) / 22050
    window = np.hanning(22050)
    kept = noise.resample(window * np.sin(2 * np.pi * 1000 * time_22), 22050, 16000)
    expected = np.interp(np.arange(16000) / 16000, time_22, window) * np.sin(
        2 * np.pi * 1000 * np.arange(16000) / 16000
    )
    assert kept.shape == (16000,)
    np.testing.assert_allclose(kept, expected, atol=1e-3)
    gone = noise.resample(window * np.sin(2 * np.pi * 9000 * time_22), 22050, 16000)
    assert np.abs(gone).max() < 1e-4


@pytest.mark.parametrize("colour", noise.COLOURS)
@pytest.mark.parametrize("snr", [5.0, 20.0])
def test_recording_has_the_signal_to_noise_ratio_asked_for(colour: str, snr: float) -> None:
    tone = np.sin(2 * np.pi * 1234.0 * np.arange(3 * 22050) / 22050)  # unlike any harmonic of hum
    mixed = noise.place(tone, 22050, (3000, 5000), snr, colour, np.random.default_rng(5)) / 32767.0
    middle = mixed[8000:-8000] * np.hanning(len(mixed) - 16000)
    power = np.abs(np.fft.rfft(middle)) ** 2
    frequency = np.fft.rfftfreq(len(middle), 1 / 16000)
    near = np.abs(frequency - 1234.0) < 5.0
    measured = 10.0 * np.log10(power[near].sum() / power[~near].sum())
    assert measured == pytest.approx(snr, abs=1.5)  # the noise of this stretch, not of the whole
    assert np.abs(mixed).max() <= 0.9 + 1e-4


def test_voices_are_enough_and_each_set_has_its_own() -> None:
    variants = {name: {voice.variant for voice in speech.VOICES[name]} for name in SETS}
    assert len(speech.VOICES["train"]) >= 12
    assert len(speech.VOICES["dev"]) >= 4 and len(speech.VOICES["test"]) >= 4
    assert not variants["train"] & variants["dev"]
    assert not variants["train"] & variants["test"]
    assert not variants["dev"] & variants["test"]
    for voices in speech.VOICES.values():
        assert len({voice.speaker for voice in voices}) == len(voices)
        women = sum(voice.speaker.startswith("f") for voice in voices)
        assert 2 * women == len(voices)
    assert not any(voice.language == "en-gb" for vs in speech.VOICES.values() for voice in vs)


@pytest.mark.recipe
def test_two_runs_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    age = time.time() - (corpus / "test" / "text").stat().st_mtime
    time.sleep(max(0.0, 2.5 - age))  # espeak-ng's own seed is the time in seconds
    assert run("--out", tmp_path / "again", "--minutes", 1).returncode == 0
    assert hashes(tmp_path / "again") == hashes(corpus)


@pytest.mark.recipe
def test_another_seed_gives_another_corpus(corpus: Path, tmp_path: Path) -> None:
    assert run("--out", tmp_path / "c", "--minutes", 0.1, "--seed", 2).returncode == 0
    name = "train/wav/f01-0001.wav"
    assert hashes(tmp_path / "c")[name] != hashes(corpus)[name]


@pytest.mark.recipe
def test_sets_hold_what_their_tables_say(corpus: Path) -> None:
    speakers: dict[str, set[str]] = {}
    lexicon = {line.split()[0] for line in (LOCAL / "lexicon.txt").read_text().splitlines()}
    for name in SETS:
        files = ("wav.scp", "text", "utt2spk", "utt2snr", "utt2noise")
        wavs, text, utt2spk, snr, colour = (table(corpus / name / file) for file in files)
        assert wavs.keys() == text.keys() == utt2spk.keys() == snr.keys() == colour.keys()
        assert len(list((corpus / name / "wav").iterdir())) == len(wavs)
        speakers[name] = set(utt2spk.values())
        assert speakers[name] == {voice.speaker for voice in speech.VOICES[name]}
        assert all(utterance.startswith(f"{speaker}-") for utterance, speaker in utt2spk.items())
        assert {word for words in text.values() for word in words.split()} <= lexicon
        assert all(5.0 <= float(value) <= 20.0 for value in snr.values())
        assert set(colour.values()) <= set(noise.COLOURS)
        for utterance, path in wavs.items():
            info = soundfile.info(corpus / name / path)
            assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
            samples, _ = soundfile.read(corpus / name / path, dtype="float64")
            assert np.abs(samples).max() <= 0.9 + 1e-4, f"{utterance} may be clipped"
            assert np.sqrt(np.mean(samples**2)) > 0.004
            seconds_per_word = info.duration / len(text[utterance].split())
            assert 0.2 < seconds_per_word < 1.0, f"{utterance}: {text[utterance]}"
    assert not speakers["train"] & speakers["dev"]
    assert not speakers["train"] & speakers["test"]
    assert not speakers["dev"] & speakers["test"]


def test_words_without_an_event_of_their_own() -> None:
    word, phoneme = espeak_events.WORD, espeak_events.PHONEME
    said = [
        *[(word, 1, 0, ""), (phoneme, 1, 90, "t"), (phoneme, 1, 200, "3:")],
        *[(word, 6, 300, ""), (phoneme, 6, 300, "0"), (phoneme, 6, 400, "n")],
        *[(phoneme, 6, 500, "D"), (phoneme, 6, 600, "@")],
        *[(word, 13, 700, ""), (phoneme, 13, 750, "k"), (phoneme, 20, 950, "_:")],
    ]
    events = [espeak_events.Event(*row) for row in said]
    wanted = [(0, 300, "turn"), (300, 500, "on"), (500, 700, "the"), (700, 950, "fan")]
    assert espeak_events.word_samples("turn on the fan", events, 1000) == wanted
    assert espeak_events.word_samples("turn on the fan", events, 900)[-1] == (700, 900, "fan")
    with pytest.raises(speech.UserError, match="when it said 'the'"):
        espeak_events.word_samples("turn on the fan", events[:6] + events[8:], 1000)


@pytest.mark.recipe
def test_times_of_words_cover_the_speech(corpus: Path) -> None:
    for name in SETS:
        text, rows = table(corpus / name / "text"), {}
        for line in (corpus / name / "words.ctm").read_text().splitlines():
            utterance, channel, begin, duration, word = line.split()
            assert channel == "1" and float(duration) > 0.02
            rows.setdefault(utterance, []).append((float(begin), float(duration), word))
        assert list(rows) == list(text)
        for utterance, words in rows.items():
            assert [word for _, _, word in words] == text[utterance].split()
            for one, other in zip(words, words[1:], strict=False):
                assert one[0] + one[1] == pytest.approx(other[0], abs=2e-4)
            length = soundfile.info(corpus / name / "wav" / f"{utterance}.wav").duration
            assert 0.0999 < words[0][0] < 0.5
            assert 0.0999 < length - sum(words[-1][:2]) < 0.5


@pytest.mark.recipe
def test_white_noise_in_the_files_has_the_noted_level(corpus: Path) -> None:
    """Estimated without the clean speech: the first 0.1 s holds noise alone."""
    errors = []
    for name in SETS:
        wavs, snr, colour = (
            table(corpus / name / file) for file in ("wav.scp", "utt2snr", "utt2noise")
        )
        for utterance in (u for u in wavs if colour[u] == "white"):
            samples, _ = soundfile.read(corpus / name / wavs[utterance], dtype="float64")
            quiet = np.mean(samples[:1600] ** 2)
            speech_length = len(samples) - 8000  # 0.1 to 0.4 s at either end: 0.5 s on average
            energy = np.sum(samples**2) - quiet * len(samples)
            estimate = 10.0 * np.log10(energy / speech_length / quiet)
            errors.append(estimate - float(snr[utterance]))
    assert len(errors) >= 4
    assert np.abs(errors).max() < 2.0


@pytest.mark.recipe
def test_every_voice_sounds_different(espeak: None) -> None:
    synthesiser = speech.Synthesiser(1)
    seen: dict[str, str] = {}
    for voice in (voice for voices in speech.VOICES.values() for voice in voices):
        synthesiser.choose(voice)
        samples = synthesiser.say("call mary at five two nine")
        assert 1.0 < len(samples) / synthesiser.sampling_rate < 3.0
        assert np.abs(samples).max() < 0.99, f"{voice} is clipped"
        # Without phase, and so coarse that flutter does not count: two breaths of one voice agree.
        spectrum = np.abs(np.fft.rfft(samples))
        bands = [np.sqrt(np.mean(band**2)) for band in np.array_split(spectrum, 40)]
        shape = np.round(20.0 * np.log10(np.array(bands) / max(bands)) / 3.0)
        key = hashlib.sha256(shape.tobytes() + bytes([len(samples) // 2205])).hexdigest()
        assert key not in seen, f"{voice.speaker} sounds like {seen[key]}"
        seen[key] = voice.speaker


@pytest.mark.recipe
def test_unknown_language_or_variant_is_an_error(espeak: None) -> None:
    synthesiser = speech.Synthesiser(1)
    with pytest.raises(speech.UserError, match="nosuch"):
        synthesiser.choose(speech.Voice("f99", "en-us", "nosuch", 50, 50, 170))
    with pytest.raises(speech.UserError, match="answered 2.*en-gb"):
        synthesiser.choose(speech.Voice("f99", "en-gb", "f1", 50, 50, 170))


@pytest.mark.recipe
def test_what_is_there_is_not_touched(espeak: None, tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "mine").write_text("kept")
    result = run("--out", tmp_path / "corpus", "--minutes", 0.1)
    assert result.returncode == 2
    assert str(tmp_path / "corpus") in result.stderr and len(result.stderr.splitlines()) == 1
    assert hashes(tmp_path / "corpus").keys() == {"mine"}
    assert run("--out", tmp_path / "new", "--minutes", 0).returncode == 2
    assert not (tmp_path / "new").exists()
