#!/usr/bin/env python3
"""Makes a miniature AMI: the layout and the oddities of the real one, and synthetic voices.

    OUT/amicorpus/MEETING/audio/MEETING.Headset-N.wav, MEETING.Array1-01.wav
       /annotations/corpusResources/meetings.xml, words/*.xml, segments/*.xml
       /cmudict.0.7a, wordlist.50k.gz

Four meetings of train, one of dev and one of eval, in which the voices of egs/mini design a remote
control (meeting_grammar.py). Each headset hears its own speaker, and faintly the others; the array,
which IS1003b lacks, all of them in a room. EN2001a has five people. By default train has 8.5
minutes, dev 3.4 and eval 5.1. A quarter of the turns begin before the last one is over.

What is odd is in ami_annotations.py, and: segments of more than 30 words with commas, or with
nothing but !, at which nobody may cut them; agents whom meetings.xml does not know; people who
overlap with themselves; words outside the dictionary, and letters outside of ASCII.

The same seed makes the same bytes.

Example: python tests/corpora/ami.py --out corpus
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "egs" / "mini" / "local")]

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from ami_annotations import Segment, Token, odd, write_meetings, write_transcript  # noqa: E402
from meeting_grammar import BACKCHANNELS, ENDS, Meetings, spoken  # noqa: E402
from noise import SAMPLING_RATE  # noqa: E402
from speech import VOICES, Synthesiser, Voice  # noqa: E402
from spoken import clear, in_noise, main, write_lines  # noqa: E402

from chainstitch.utils.files import atomic_directory  # noqa: E402

MINUTES = 8.5
# set -> minutes for each of train, and its meetings with how many people are there
SETS = {
    "train": (1.0, {"ES2002a": 4, "EN2001a": 5, "IS1003b": 4, "TS3005a": 4}),
    "dev": (0.4, {"ES2011a": 4}),
    "test": (0.6, {"ES2004a": 4}),
}
WITHOUT_ARRAY = "IS1003b"
CODES = {"E": "EE", "T": "TD", "I": "IO"}  # FEE041, MTD012ME, FIO093
CROSSTALK = 0.04  # of the others, in a headset
LONG = 6  # every so many turns are one long segment
OUTSIDE = "Um , the okapi is here"


@dataclass
class Person:
    """Who takes part: the words said, and the sound of them, (samples,)."""

    voice: Voice
    code: str
    sound: np.ndarray
    segments: list[Segment] = field(default_factory=list)


class Meeting:
    """A meeting while it is recorded; `now` is where the last turn ended, in samples."""

    def __init__(self, people: list[Person], espeak: Synthesiser, rng: np.random.Generator) -> None:
        self.people, self._espeak, self._rng, self.now = people, espeak, rng, SAMPLING_RATE

    def say(self, person: Person, start: int, tokens: list[str]) -> int:
        """Records a segment of one person; returns where it ends."""
        self._espeak.choose(person.voice)
        segment: Segment = []
        clause: list[str] = []
        for token in [*tokens, ""]:
            mark = token in (",", ".", "?", "!")
            if not (mark or not token):
                clause.append(token)
                continue
            if clause:
                samples = clear(self._espeak, " ".join(map(spoken, clause)))
                person.sound[start : start + len(samples)] += samples
                segment += _timed(clause, start, len(samples))
                start, clause = start + len(samples), []
            if mark:
                end = segment[-1].end
                segment.append(Token(token, end, end))
        person.segments.append(segment)
        return start

    def turn(self, number: int, sentences: Meetings) -> None:
        """The next turn, and now and then somebody who agrees in the middle of it."""
        person = self.people[self._rng.integers(len(self.people))]
        marks = [ENDS[self._rng.integers(len(ENDS))] for _ in range(5)]
        count = int(self._rng.integers(1, 3))
        if number % LONG == 2:
            count, between = 4, "," if number % (2 * LONG) == 2 else "!"
            marks = [between] * 3 + [".", "."]
        texts = [sentences.sentence() for _ in range(count)]
        if number == 4:
            texts, marks = [OUTSIDE], ["."]
        tokens = [
            token
            for text, mark in zip(texts, marks, strict=False)
            for token in [*text.split(), mark]
        ]
        early = int(0.4 * SAMPLING_RATE) if self._rng.uniform() < 0.25 else 0
        start = max(self.now - early, _end_of(person))
        end = self.say(person, start, tokens)
        other = self.people[self._rng.integers(len(self.people))]
        middle = (start + end) // 2
        if other is not person and self._rng.uniform() < 0.5 and _end_of(other) < middle:
            text = BACKCHANNELS[self._rng.integers(len(BACKCHANNELS))]
            self.say(other, middle, [text, "."] if number % 2 else [text])
        self.now = max(self.now, end) + int(SAMPLING_RATE * self._rng.uniform(0.1, 0.6))


def _timed(clause: list[str], start: int, length: int) -> list[Token]:
    """The words of a clause, as long as they have letters."""
    ends = np.cumsum([len(spoken(token)) + 1 for token in clause])
    times = (start + length * np.concatenate([[0], ends]) / ends[-1]) / SAMPLING_RATE
    return [
        Token(token, round(float(a), 2), round(float(b), 2))
        for token, a, b in zip(clause, times, times[1:], strict=False)
    ]


def _end_of(person: Person) -> int:
    """Where a person is silent again, in samples."""
    ends = [token.end or 0.0 for segment in person.segments for token in segment]
    return int(max(ends, default=0.0) * SAMPLING_RATE)


def hold(
    name: str, voices: list[Voice], seconds: float, espeak: Synthesiser, seed: list[int]
) -> tuple[list[Person], float]:
    """A meeting of at least six turns; returns who was there, and how long it took in seconds."""
    rng = np.random.default_rng(seed)
    longest = int(SAMPLING_RATE * (seconds + 200))
    people = [
        Person(voice, f"{voice.speaker[0].upper()}{CODES[name[0]]}{10 * seed[-1] + n:03d}"
               + "PM" * (name[0] == "T"), np.zeros(longest, np.float32))
        for n, voice in enumerate(voices)
    ]  # fmt: skip
    meeting, sentences, number = Meeting(people, espeak, rng), Meetings(rng), 0
    while meeting.now < seconds * SAMPLING_RATE or number < len(people) + LONG:
        meeting.turn(number, sentences)
        number += 1
    for person in people:  # nobody may be silent, for each headset has a file of words
        if not person.segments:
            meeting.now = meeting.say(person, meeting.now, ["Yeah", "."])
    end = meeting.now + SAMPLING_RATE
    for person in people:
        person.sound = person.sound[:end]
    return people, end / SAMPLING_RATE


def room(people: list[Person], rng: np.random.Generator) -> np.ndarray:
    """What a microphone on the table hears, before the noise: some are nearer, all reverberate."""
    echo = np.exp(-np.arange(SAMPLING_RATE // 5) / (0.03 * SAMPLING_RATE))
    echo *= rng.standard_normal(len(echo)) * 0.05
    echo[0] = 1.0
    mixed = np.sum([rng.uniform(0.5, 1.0) * person.sound for person in people], axis=0)
    size = 1 << int(len(mixed) + len(echo)).bit_length()
    spectrum = np.fft.rfft(mixed, size) * np.fft.rfft(echo, size)
    return np.fft.irfft(spectrum, size)[: len(mixed)]


def write_meeting(
    out: Path, name: str, people: list[Person], duration: float, train: bool, seed: list[int]
) -> None:
    """Audio and annotations of a meeting."""
    rng = np.random.default_rng([*seed, 1])
    place = out / "amicorpus" / name / "audio"
    place.mkdir(parents=True)
    everybody = np.sum([person.sound for person in people], axis=0)
    for n, person in enumerate(people):
        heard = person.sound + CROSSTALK * (everybody - person.sound)
        _write(place / f"{name}.Headset-{n}.wav", in_noise(heard, rng, (15.0, 30.0)))
        segments = odd(person.segments, duration, train) if n == 0 else person.segments
        write_transcript(out / "annotations", name, "ABCDE"[n], _with_overlap(segments, n))
    if name != WITHOUT_ARRAY:
        _write(place / f"{name}.Array1-01.wav", in_noise(room(people, rng), rng))
    if name == "ES2002a":  # somebody who came in, and is in no list
        write_transcript(out / "annotations", name, "E", [[Token("Sorry", 1.0, 1.4)]])


def _write(path: Path, samples: np.ndarray) -> None:
    soundfile.write(path, samples, SAMPLING_RATE, subtype="PCM_16")


def _with_overlap(segments: list[Segment], n: int) -> list[Segment]:
    """In the transcript of the second person a segment begins before the one before it ends."""
    made = list(segments)
    for k in range(1, len(made)):
        begin, before = made[k][0].start, made[k - 1][-1].end
        if n == 1 and len(made[k]) > 2 and begin and before and before > begin - 8.0:
            made[k] = [replace(made[k][0], start=round(before - 0.1, 2)), *made[k][1:]]
            break
    return made


def dictionary() -> list[str]:
    """A CMU dictionary as of 0.7a, with stress on the first vowel."""
    lines = [";;; a miniature of the CMU Pronouncing Dictionary"]
    entries = (HERE / "meeting_words.txt").read_text(encoding="utf-8").splitlines()
    for line in (HERE / "words.txt").read_text(encoding="utf-8").splitlines():
        word, _, phones = line.partition(" ")
        if "<" not in word:
            entries.append(f"{word.upper()} {phones}")
    for entry in sorted(set(entries)):
        word, *phones = entry.replace("(2)", "(1)").replace("(3)", "(2)").split()
        vowels = [n for n, phone in enumerate(phones) if phone[0] in "AEIOU"]
        for n in vowels:
            phones[n] += "1" if n == vowels[0] else "0"
        lines.append(f"{word}  {' '.join(phones)}")
    return lines


def make_corpus(
    out: Path, minutes: float = MINUTES, seed: int = 1, overwrite: bool = False
) -> list[str]:
    """Makes the corpus; returns a line for each set that sums it up.

    Raises:
        UserError: `out` exists and `overwrite` is false; espeak-ng is missing or refuses a voice.
    """
    summary = []
    codes: dict[str, list[str]] = {}
    with atomic_directory(out, "corpus", overwrite) as directory:
        espeak, number = Synthesiser(seed), 0
        for name, (share, meetings) in SETS.items():
            voices, words, total = iter(VOICES[name]), 0, 0.0
            for title, count in meetings.items():
                own = [next(voices) for _ in range(count)]
                seconds = 60.0 * minutes * share / len(meetings)
                people, duration = hold(title, own, seconds, espeak, [seed, number])
                train = name == "train"
                write_meeting(directory, title, people, duration, train, [seed, number])
                codes[title] = [person.code for person in people]
                words += sum(len(s) for person in people for s in person.segments)
                total, number = total + duration, number + 1
            kind = "eval" if name == "test" else name
            summary.append(
                f"{kind}: {len(meetings)} meetings, {total / 60:.1f} min, {words} tokens"
            )
        write_meetings(directory / "annotations", codes)
        entries = dictionary()
        write_lines(directory / "cmudict.0.7a", entries)
        listed = {entry.split()[0].split("(")[0] for entry in entries[1:]} - {"ZEBRA", "ZERO"}
        write_lines(directory / "wordlist.50k.gz", sorted(listed))
    return summary


if __name__ == "__main__":
    sys.exit(main("ami.py", __doc__, MINUTES, make_corpus))
