"""Synthetic speech: the espeak-ng library of `espeakng-loader`, called through ctypes.

espeak-ng is under the GPL and only this recipe's scripts load it; nothing in the package does. It
has three habits to guard against. An unknown language sets an error code and keeps the voice it
had; an unknown variant sets none; and flutter and roughness come from a random generator that is
seeded with the time. So every code is checked, every variant is looked for on disk, and the seed is
fixed once: the same calls in the same order in a fresh process give the same samples.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from espeak_events import PHONEME_EVENTS, Event, events, word_samples

from chainstitch.utils.errors import UserError

# From espeak-ng's speak_lib.h.
SYNCHRONOUS, DONT_EXIT, CHARS_UTF8 = 2, 0x8000, 1
RATE, VOLUME, PITCH, RANGE = 1, 2, 3, 4

# espeak-ng saturates some of its louder variants at its normal volume, 100.
QUIET = 30


@dataclass(frozen=True)
class Voice:
    """A speaker: an accent, a timbre and a manner of speaking.

    Attributes:
        speaker: the speaker's name in the corpus; the first letter is f or m.
        language: one of espeak-ng's accents of English.
        variant: one of its variants, which sets the formants and the sex.
        pitch: base pitch, 0 to 99 (50 is the variant's own).
        range: how much the pitch moves, 0 to 99 (50 is the variant's own).
        rate: words a minute (175 is normal).
    """

    speaker: str
    language: str
    variant: str
    pitch: int
    range: int
    rate: int


# No variant of one set occurs in another. Left out are whispering, croaking and robot variants,
# those of the Klatt synthesiser, some that saturate or are hard to make out, and the language
# `en-gb`, which this build refuses.
VOICES: dict[str, list[Voice]] = {
    "train": [
        Voice("f01", "en-us", "f1", 50, 50, 170),
        Voice("f02", "en-gb-x-rp", "f2", 45, 60, 160),
        Voice("f03", "en", "f3", 40, 40, 180),
        Voice("f04", "en-gb-scotland", "f5", 50, 55, 165),
        Voice("f05", "en-us", "Annie", 60, 45, 190),
        Voice("f06", "en-gb-x-rp", "Andrea", 40, 40, 155),
        Voice("f07", "en", "f1", 70, 60, 175),
        Voice("f08", "en-us", "steph", 55, 65, 185),
        Voice("f09", "en-029", "aunty", 40, 50, 165),
        Voice("f10", "en-gb-x-gbclan", "f2", 65, 35, 150),
        Voice("m01", "en-us", "m1", 50, 50, 175),
        Voice("m02", "en-gb-x-rp", "m2", 40, 60, 165),
        Voice("m03", "en", "m3", 60, 45, 185),
        Voice("m04", "en-gb-scotland", "m5", 45, 50, 155),
        Voice("m05", "en-us", "m7", 60, 60, 190),
        Voice("m06", "en-gb-x-rp", "m8", 55, 40, 170),
        Voice("m07", "en", "max", 35, 55, 160),
        Voice("m08", "en-us", "Alex", 45, 45, 150),
        Voice("m09", "en-029", "Diogo", 55, 55, 165),
        Voice("m10", "en-gb-scotland", "robert", 65, 60, 180),
    ],
    "dev": [
        Voice("f11", "en", "belinda", 35, 55, 170),
        Voice("f12", "en-gb-x-rp", "anika", 40, 45, 165),
        Voice("m11", "en-us", "Mike", 55, 55, 180),
        Voice("m12", "en-gb-scotland", "john", 45, 45, 165),
    ],
    "test": [
        Voice("f13", "en", "f4", 45, 50, 175),
        Voice("f14", "en-us", "shelby", 60, 45, 165),
        Voice("f15", "en-gb-x-rp", "linda", 35, 60, 180),
        Voice("m13", "en-us", "m4", 55, 60, 170),
        Voice("m14", "en-gb-x-rp", "m6", 45, 45, 185),
        Voice("m15", "en-gb-scotland", "Mario", 60, 55, 160),
    ],
}


class Synthesiser:
    """One espeak-ng, alone in its process: the library keeps its state in globals.

    Attributes:
        sampling_rate: of the samples that `say` returns, in Hz.
        words: of the text said last, (begin, end, word) in seconds after the first of them.

    Raises:
        UserError: espeakng-loader is missing, or its library finds no data.
    """

    def __init__(self, seed: int) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise UserError(
                f"speech synthesis needs espeakng-loader ({error}): pip install 'chainstitch[mini]'"
            ) from error
        data = Path(espeakng_loader.get_data_path())
        self._variants = set(os.listdir(data / "voices" / "!v"))
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        home = os.fsencode(data.parent)
        self.sampling_rate = self._library.espeak_Initialize(
            SYNCHRONOUS, 0, home, DONT_EXIT | PHONEME_EVENTS
        )
        if self.sampling_rate <= 0:
            raise UserError(
                f"espeak-ng found no data in {data} (it takes no path beyond about 150 characters):"
                " use a virtual environment with a shorter path"
            )
        self.words: list[tuple[float, float, str]] = []
        self._pieces: list[bytes] = []
        self._events: list[Event] = []
        receiver = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        self._receive = receiver(self._gather)  # kept, or it would be freed under the library
        self._library.espeak_SetSynthCallback(self._receive)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))

    def _gather(self, samples: int | None, count: int, told: int | None) -> int:
        self._events += events(told)
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, 2 * count))
        return 0

    def choose(self, voice: Voice) -> None:
        """Makes `voice` speak from now on."""
        name = f"{voice.language}+{voice.variant}"
        if voice.variant not in self._variants:
            raise UserError(f"this espeak-ng has no variant {voice.variant!r} for voice {name!r}")
        self._check(self._library.espeak_SetVoiceByName(name.encode()), f"set the voice {name!r}")
        parameters = {RATE: voice.rate, VOLUME: QUIET, PITCH: voice.pitch, RANGE: voice.range}
        for parameter, value in parameters.items():
            code = self._library.espeak_SetParameter(parameter, value, 0)
            self._check(code, f"set parameter {parameter} of {name!r} to {value}")

    def say(self, text: str, timed: bool = True) -> np.ndarray:
        """The samples (n,) of `text`, float64 in [-1, 1), without the silence at either end.

        Args:
            timed: whether `words` is wanted, which is a UserError where it cannot be told.
        """
        self._pieces.clear()
        self._events.clear()
        data = text.encode()
        code = self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, CHARS_UTF8, None, None)
        self._check(code, f"say {text!r}")
        samples = np.frombuffer(b"".join(self._pieces), dtype="<i2") / 32768.0
        loud = np.flatnonzero(np.abs(samples) > 0.002)
        if not len(loud):
            raise UserError(f"espeak-ng said nothing for {text!r}")
        first, last = int(loud[0]), int(loud[-1]) + 1
        self.words = [
            (max(0, begin - first) / self.sampling_rate, (end - first) / self.sampling_rate, word)
            for begin, end, word in (word_samples(text, self._events, last) if timed else ())
        ]
        return samples[first:last]

    @staticmethod
    def _check(code: int, doing: str) -> None:
        if code != 0:
            raise UserError(f"espeak-ng answered {code} when asked to {doing}")
