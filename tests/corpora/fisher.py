#!/usr/bin/env python3
"""Makes a miniature Fisher: transcripts of telephone calls, in their layout, and no audio.

    OUT/data/trans/000/fe_03_00001.txt, ...      OUT/data/trans/001/..., OUT/docs/readme.txt

Two people say sentences of the miniature AMI (meeting_grammar.py), in turns with blank lines
between, as `START END A: text`. Here and there is what the real ones have: (( )) around what was
hard to hear, [laugh] and other noises, [[skip]], `'cause`, quotes, acronyms as `t._v.`, German in
angle brackets, *mandatory, fragments, and comments. The same seed makes the same bytes.

Example: python tests/corpora/fisher.py --out fisher
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "egs" / "mini" / "local")]

import numpy as np  # noqa: E402
from meeting_grammar import Meetings  # noqa: E402
from spoken import main, write_lines  # noqa: E402

from chainstitch.utils.files import atomic_directory  # noqa: E402

MINUTES = 60.0
SENTENCES = 12  # a minute
CALL = 100  # turns
HEAD = ["# fe_03_{number:05d}.sph", "# Transcribed at the LDC", ""]
ODD = (
    "(( {text} ))", "[laugh] {text}", "{text} [breath]", "[[skip]] {text}", "'cause {text}",
    "he said '{text}' to me", "{text} mr. smith", "<german (( ja wohl )) > {text}", "*{text}",
    "{text} non-stop", "well pro- -how- {text}", "get 'em [mn] {text}", "{text} a.s [pause]",
    "i._b._m.'s {text} ?", "(( ))", "{text} , you know", "'kay {text} - yes",
)  # fmt: skip


def written(text: str) -> str:
    """A sentence of a meeting as Fisher's transcribers write: small letters, no punctuation."""
    text = re.sub(r"\b((?:[A-Z]_)+)", lambda m: "._".join(m[1].lower().split("_")[:-1]) + ".", text)
    return re.sub(r" [,.?!]", "", text.lower()).replace("\u00e9", "e").replace("\u00ef", "i")


def call(number: int, sentences: Meetings, turns: int) -> list[str]:
    """The lines of a call."""
    lines = [line.format(number=number) for line in HEAD]
    for n in range(turns):
        text = written(sentences.sentence())
        if n % 5 == 4:
            text = ODD[(number * turns + n) // 5 % len(ODD)].format(text=text)
        lines += [f"{4.5 * n + 0.27:.2f} {4.5 * n + 4.12:.2f} {'AB'[n % 2]}: {text}", ""]
    return lines


def make_corpus(
    out: Path, minutes: float = MINUTES, seed: int = 1, overwrite: bool = False
) -> list[str]:
    """Makes the corpus; returns a line that sums it up."""
    sentences = Meetings(np.random.default_rng([seed, 7]))
    total = max(len(ODD) * 5, round(minutes * SENTENCES))
    with atomic_directory(out, "corpus", overwrite) as directory:
        starts = range(0, total, CALL)
        for n, start in enumerate(starts):
            lines = call(n + 1, sentences, min(CALL, total - start))
            write_lines(directory / f"data/trans/{n // 4:03d}/fe_03_{n + 1:05d}.txt", lines)
        write_lines(directory / "docs/readme.txt", ["a miniature of the Fisher transcripts"])
    return [f"{len(starts)} calls, {total} turns"]


if __name__ == "__main__":
    sys.exit(main("fisher.py", __doc__, MINUTES, make_corpus))
