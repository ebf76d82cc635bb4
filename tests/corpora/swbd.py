#!/usr/bin/env python3
"""Makes a miniature Switchboard: the layout and the oddities of the real one, synthetic voices.

    OUT/LDC97S62/swb1_d1/data/sw02001.sph ...         10 calls of two channels, 8 kHz, mu-law
                /swb_ms98_transcriptions/20/2001/sw2001A-ms98-a-{trans,word}.text ...
                                        /sw-ms98-dict.text
                /docs/conv.tab                        which lacks one call
       /LDC2002S09/hub5e_00/english/*.sph, hub5e_00.pem                    eval2000, 3 calls
                  /2000_hub5_eng_eval_tr/reference/*.{stm,glm}             those of LDC2002T43
       /LDC2007S10/data/{audio,references}/eval03/english/cts/*, trans_rules/   RT-03, 2 calls
       /LDC2004T19/fe_03_p1_tran/data/trans/000/fe_03_00001.txt            Fisher's text
       /broken/sw02098.sph, sw02099.sph               compressed by shorten; without a transcript

In a call two voices of egs/mini take turns with what call_grammar.py says, each on a channel of its
own, and the one who listens says uh-huh now and then. By default train has 9 minutes of calls, the
20 voices of egs/mini's train; eval2000 3.6 minutes, its test voices; RT-03 2.4, its dev voices.

What is odd: every kind of token that swbd_text.py has a rule for, [silence] alone, around words and
twice; asides; acronyms as words and as letters; all that Kaldi's patch takes from the dictionary,
its comments and `a ey`; an end behind that of the audio; in the references overlaps, segments that
are not scored, ((, asides, alternatives, and gaps in RT-03's.

Everything is drawn from seeded generators, and one process says all sentences in one order: the
same bytes every time.

Example: python tests/corpora/swbd.py --out corpus
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "egs" / "mini" / "local")]

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from call_grammar import UH_HUH, WORDS, Talker, Token  # noqa: E402
from noise import SAMPLING_RATE, noise, resample  # noqa: E402
from speech import VOICES, Synthesiser, Voice  # noqa: E402
from spoken import LOUDNESS, clear, in_noise, main, write_lines  # noqa: E402

from chainstitch.utils.corpora.swbd_dict_patch import DELETED  # noqa: E402
from chainstitch.utils.files import atomic_directory  # noqa: E402

MINUTES = 9.0
SHARES = {"train": 1.0, "test": 0.4, "dev": 0.27}  # minutes of a set for each of train
CALLS = {
    "train": [f"sw0{number}" for number in range(2001, 2020, 2)],
    "test": ["sw_4390", "en_4156", "sw_4604"],
    "dev": ["fsh_60262", "sw_45142"],
}
RATE = 8000
FISHER_LINES = 1500
SHORTEN = """NIST_1A
   1024
channel_count -i 2
sample_count -i 16000
sample_rate -i 8000
sample_n_bytes -i 1
sample_coding -s26 ulaw,embedded-shorten-v2.00
end_head
"""
GLM = """\
;; miniature.glm: a few rules in the NIST1 format
* name "miniature.glm"
* desc "miniature"
* format = 'NIST1'
* max_nrules = '100'
* copy_no_hit = 'T'
* case_sensitive = 'F'
;;
uh-huh  =>  %bcack    / [ ] __ [ ]
[T. V.]  =>  [T V]    / [ ] __ [ ]
[U. S.]  =>  [U S]    / [ ] __ [ ]
[C. D.S]  =>  [C D'S]    / [ ] __ [ ]
[I. B. M.]  =>  [I B M]    / [ ] __ [ ]
[B. B. C.'S]  =>  [B B C'S]    / [ ] __ [ ]
"""


GAP = "inter_segment_gap"
LABELS = ["O", "en", "sw", "F", "M", "en-F", "en-M", "sw-F", "sw-M"]
HEADER = [';; CATEGORY "0" "" ""', *(f';; LABEL "{name}" "{name}" "{name}"' for name in LABELS)]


@dataclass(frozen=True)
class Said:
    """A stretch of a side; times in seconds."""

    start: float
    end: float
    tokens: tuple[Token, ...]

    def reference(self) -> str:
        return " ".join(filter(None, (token.reference for token in self.tokens)))


@dataclass(frozen=True)
class Call:
    """A call: samples (n, 2) at 8 kHz, int16, and what is said on its sides."""

    name: str
    voices: tuple[Voice, Voice]
    samples: np.ndarray
    sides: tuple[list[Said], list[Said]]

    @property
    def duration(self) -> float:
        return len(self.samples) / RATE


def sound(tokens: list[Token], espeak: Synthesiser, rng: np.random.Generator) -> np.ndarray:
    """The samples (n,) of an utterance at 16 kHz."""
    parts, words = [], []
    for token in [*tokens, Token("", "", "")]:
        if token.spoken:
            words.append(token.spoken)
            continue
        if words:
            parts.append(clear(espeak, " ".join(words)))
            words = []
        if token.written:
            parts.append(LOUDNESS * noise("pink", SAMPLING_RATE // 3, rng))
    return np.concatenate(parts)


def make_call(
    name: str, voices: tuple[Voice, Voice], seconds: float, espeak: Synthesiser, talker: Talker,
    seed: list[int],
) -> Call:  # fmt: skip
    """Two voices that take turns for `seconds`, at least four times each."""
    rng = np.random.default_rng(seed)
    channels: tuple[list[tuple[int, np.ndarray]], ...] = ([], [])
    sides: tuple[list[Said], list[Said]] = ([], [])
    now, turn = int(SAMPLING_RATE * rng.uniform(0.8, 1.5)), 0
    free = [0, 0]  # sample from which on a side is silent

    def speak(side: int, start: int, tokens: list[Token]) -> int:
        espeak.choose(voices[side])
        samples = sound(tokens, espeak, rng)
        channels[side].append((start, samples))
        free[side] = start + len(samples)
        times = (round(edge / SAMPLING_RATE, 2) for edge in (start, free[side]))
        sides[side].append(Said(*times, tuple(tokens)))
        return free[side]

    while now < seconds * SAMPLING_RATE or turn < 8:
        side, other = turn % 2, 1 - turn % 2
        for _ in range(rng.integers(1, 3)):
            end = speak(side, now, talker.utterance())
            if rng.uniform() < 0.6:
                start = max(free[other], end - SAMPLING_RATE) + SAMPLING_RATE // 4
                speak(other, start, [UH_HUH])
            now = end + int(SAMPLING_RATE * rng.uniform(0.3, 0.8))
        now, turn = max(now, *free) + SAMPLING_RATE // 8, turn + 1
    length = max(now, *free) + SAMPLING_RATE // 2
    columns = []
    for pieces in channels:
        signal = np.zeros(length)
        for start, samples in pieces:
            signal[start : start + len(samples)] += samples
        signal = resample(in_noise(signal, rng) / 32768.0, SAMPLING_RATE, RATE)
        columns.append(np.rint(np.clip(signal, -1.0, 1.0) * 32767.0).astype(np.int16))
    return Call(name, voices, np.stack(columns, 1), sides)


def transcript(call: Call, side: int, index: int) -> list[str]:
    """The lines of a side in ms98, with the oddities that it has by its call's number."""
    rows: list[tuple[float, float, str]] = []
    before = 0.0
    for n, one in enumerate(call.sides[side]):
        if one.start > before:
            rows.append((before, one.start, "[silence]"))
        words = " ".join(token.written for token in one.tokens)
        if words == UH_HUH.written and n % 5 == 0:
            words = f"[silence] {words} [silence]"
        elif n == 2 and index % 4 == 0:
            words = f"<b_aside> {words} <e_aside>"
        elif n == 3 and index == 1:
            words = f"[silence] [silence] {words}"
        rows.append((one.start, one.end, words))
        before = one.end
    last = call.duration + (0.2 if index % 2 else 0.0)
    start, end, words = rows[-1]
    rows[-1] = (start, max(end, last), words) if index % 2 else (start, end, words)
    name = f"sw{call.name[3:]}{'AB'[side]}-ms98-a"
    return [
        f"{name}-{n:04d} {start:.6f} {end:.6f} {words}"
        for n, (start, end, words) in enumerate(rows, start=1)
    ]


def dictionary() -> list[str]:
    """sw-ms98-dict.text: comments, empty lines, what the patch deletes, and the words."""
    talks = (HERE / "words.txt").read_text(encoding="utf-8").splitlines()
    lines = []
    for entry in talks:
        word, _, phones = re.sub(r"\(\d\)", "", entry).partition(" ")
        if word.isascii() and word[0] not in "'<":
            lines.append(f"{word} {phones.lower()}")
    comment, *deleted = DELETED.splitlines()
    return [
        "# a miniature",
        f" {comment}",
        "#",
        "",
        *sorted({*lines, *deleted, *WORDS.splitlines()}),
    ]


def odd_references(sides: tuple[list[Said], list[Said]], spare: bool) -> list[list[Said]]:
    """The sides with an overlap in the first; none where `spare`."""
    made = [list(side) for side in sides]
    if not spare:
        made[0][1] = replace(made[0][1], end=round(made[0][2].start + 0.1, 2))
    return made


def stm_lines(call: Call, index: int, numbered: bool) -> tuple[list[str], list[str]]:
    """The lines of a call's stm and of its pem."""
    stm, pem = ([] if numbered else [f';; "{call.name}"']), []
    source = "en" if call.name.startswith(("en", "fsh")) else "sw"
    for side, said in enumerate(odd_references(call.sides, numbered)):
        channel = "12"[side] if numbered else "AB"[side]
        sex = call.voices[side].speaker[0].upper()
        label = f"<O,{source},{sex},{source}-{sex}>"
        before = 0.0
        for n, one in enumerate(said):
            words = one.reference()
            if n == 3 and side == 0:
                words = "IGNORE_TIME_SEGMENT_IN_SCORING"
            elif n == 4 and index == 0:
                words = f"((I-) {words}"  # a typing error, as the real one has
            elif n == 4:
                words = f"<B_ASIDE> {words} <E_ASIDE>"
            words = words.replace("YOU'RE", "{ YOU'RE / YOU ARE }")
            times = f"{one.start:.2f} {one.end:.2f}"
            if numbered and one.start > before:
                stm.append(f"{call.name} {channel} {GAP} {before:.2f} {one.start:.2f} <O,>")
            text = words.lower() if numbered and "IGNORE" not in words else words
            stm.append(f"{call.name} {channel} {call.name}_{channel} {times} {label}  {text}")
            pem.append(f"{call.name} {channel} unknown_speaker {times}")
            before = one.end
    return stm, pem


def write_audio(path: Path, samples: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, RATE, format="NIST", subtype="ULAW")


def write_train(top: Path, calls: list[Call]) -> None:
    """The training calls, their transcripts and what belongs to them."""
    texts = top / "LDC97S62/swb_ms98_transcriptions"
    pins = []
    for index, call in enumerate(calls):
        number = call.name[3:]
        write_audio(top / f"LDC97S62/swb1_d{1 + index % 2}/data/{call.name}.sph", call.samples)
        for side in (0, 1):
            stem = texts / number[:2] / number / f"sw{number}{'AB'[side]}-ms98-a"
            lines = transcript(call, side, index)
            write_lines(stem.with_name(stem.name + "-trans.text"), lines)
            write_lines(stem.with_name(stem.name + "-word.text"), lines[:1])
        if index != 3:
            people = (1000 + 2 * index, 1001 + 2 * index)
            pins.append(f'{number}, "TOPIC", {people[0]} ,{people[1]},"311",920101')
    write_lines(texts / "sw-ms98-dict.text", dictionary())
    write_lines(top / "LDC97S62/docs/conv.tab", pins)
    (top / "broken").mkdir()
    (top / "broken/sw02098.sph").write_bytes(SHORTEN.encode().ljust(1024) + bytes(100))
    write_audio(top / "broken/sw02099.sph", calls[0].samples[: 2 * RATE])


def write_eval2000(top: Path, calls: list[Call]) -> None:
    place = top / "LDC2002S09/hub5e_00/english"
    stm, pem = [*HEADER], [";; segments"]
    for index, call in enumerate(calls):
        write_audio(place / f"{call.name}.sph", call.samples)
        lines = stm_lines(call, index, numbered=False)
        stm, pem = stm + lines[0], pem + lines[1]
    write_lines(place / "hub5e_00.pem", [*pem, pem[-1]])
    reference = top / "LDC2002S09/2000_hub5_eng_eval_tr/reference"
    write_lines(reference / "hub5e00.english.000405.stm", stm)
    write_lines(reference / "en20000405_hub5.glm", GLM.splitlines())


def write_rt03(top: Path, calls: list[Call]) -> None:
    data = top / "LDC2007S10/data"
    for index, call in enumerate(calls):
        write_audio(data / f"audio/eval03/english/cts/{call.name}.sph", call.samples)
        lines = [*HEADER, *stm_lines(call, index, numbered=True)[0]]
        write_lines(data / f"references/eval03/english/cts/{call.name}.stm", lines)
    write_lines(data / "trans_rules/en20030506.glm", GLM.splitlines())


def write_fisher(top: Path, talker: Talker) -> None:
    lines = ["# fe_03_00001.sph", "# Transcribed by nobody", ""]
    for n in range(FISHER_LINES):
        opening = ("", "(( mm )) ", "[laughter] ", "uh ")[n % 4]
        lines.append(f"{n}.50 {n}.95 {'AB'[n % 2]}: {opening}{talker.sentence()}")
    write_lines(top / "LDC2004T19/fe_03_p1_tran/data/trans/000/fe_03_00001.txt", lines)


def make_corpus(
    out: Path, minutes: float = MINUTES, seed: int = 1, overwrite: bool = False
) -> list[str]:
    """Makes all of it; returns a line for each set that sums it up.

    Raises:
        UserError: `out` exists and `overwrite` is false; espeak-ng is missing or refuses a voice.
    """
    summary = []
    writers = {"train": write_train, "test": write_eval2000, "dev": write_rt03}
    with atomic_directory(out, "corpus", overwrite) as directory:
        espeak = Synthesiser(seed)
        for index, (name, titles) in enumerate(CALLS.items()):
            talker = Talker(np.random.default_rng([seed, index, 0]))
            seconds = 60.0 * minutes * SHARES[name] / len(titles)
            voices = VOICES[name]
            calls = [
                make_call(
                    title, (voices[n], voices[len(titles) + n]), seconds, espeak, talker,
                    [seed, index, n],
                )
                for n, title in enumerate(titles)
            ]  # fmt: skip
            writers[name](directory, calls)
            words = sum(len(one.tokens) for call in calls for side in call.sides for one in side)
            length = sum(call.duration for call in calls) / 60
            summary.append(f"{name}: {len(calls)} calls, {length:.1f} min, {words} words")
        write_fisher(directory, Talker(np.random.default_rng([seed, 3])))
    return summary


if __name__ == "__main__":
    sys.exit(main("swbd.py", __doc__, MINUTES, make_corpus))
