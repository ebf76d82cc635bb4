r"""What TED-LIUM's texts become: stm lines, LM text and dictionary, by the rules of Kaldi's recipe.

The rules are text operations in a fixed order, some of which see whole lines, ids and labels
included. Whoever wants to compare word error rates with published ones needs the same reference and
the same vocabulary, so the rules are followed where they are odd as well; what is odd is said.

**A stm line** (`scored_line`), once all lines of a set are sorted (`order`):

    release 2    <F0_M> and <F0_F>, labels of release 1, become <o,f0,male> and <o,f0,female>;  (1)
                 every (digit), which numbers a pronunciation, and every <sil> goes
    both         a parenthesis without blanks at the very end goes: release 1 has a key there    (2)
                 the channel is called A                                                        (3)
                 words that begin with ' are joined to the word before (`joined`)                (4)

(4) leaves a pair alone once it is joined: `they 'd 've` is `they'd 've`. The label counts as a word
before, so that a segment which begins with `'s` loses it into the label, `<o,f0,male>'s`.

**An utterance** (`text_line`) is `id word word ...`: what stands behind the label, {NOISE} as
[NOISE], of all lines but those that are not scored and those with `;;` anywhere. Its id is
TALK-START-END in hundredths of a second, cut off and not rounded, and in binary floating point:
8.2 s is 819. A segment's times (`segment_line`) are those of its id, split at `-`; so a talk's name
must have no `-` in it.

**LM text** (`lm_line`): ` </s>` goes, and (4) of release 2, where the first word counts as an id
that nothing is joined to. **The dictionary** (`dictionary_lines`): without <s>, </s> and <unk>, and
without (digit) behind a word, which numbers its pronunciations; `abc(12)` stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from chainstitch.utils.data.stm import COMMENT, IGNORED

RELEASES = (2, 3)
UNKNOWN = "<unk>"
UNKNOWN_PHONE = "NSN"
SILENCE = "SIL"
# of the stm that is scored: id -> (name, description)
LABELS = {
    "o": ("Overall", "Overall results"),
    "f0": ("f0", "Wideband channel"),
    "f2": ("f2", "Telephone channel"),
    "male": ("Male", "Male Talkers"),
    "female": ("Female", "Female Talkers"),
}
_VARIANT = re.compile(r"\([0-9]\)")
_KEY = re.compile(r"\([^ ]*\)\Z")
# a word, from its beginning for the sake of time, and the one behind it that begins with '
_PAIR = re.compile(r"(?<![^ ])([^ ]+) ('[^ ]*)")
# as whole words, as grep -w sees them
_OWN = re.compile(r"(?<![A-Za-z0-9_])(?:<s>|</s>|<unk>)(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"[-+]?[0-9]+\.?[0-9]*")


def order(line: str) -> tuple[str, str, float, str]:
    """What stm lines are sorted by: talk, channel, start as a number, then the whole line."""
    talk, channel, _, start = line.split()[:4]
    return talk, channel, float(start), line


def joined(line: str) -> str:
    """A line after (4), one space between its words.

    A single word keeps a space behind it, as Kaldi's has.

    >>> joined("id they 'd 've said it 's")
    "id they'd 've said it's"
    """
    first, _, rest = " ".join(line.split()).partition(" ")
    if not first:
        return ""
    return first + " " + _PAIR.sub(r"\1\2", rest)


def scored_line(line: str, release: int = 2) -> str:
    """A stm line of the corpus as it is scored; its times stay as they are written."""
    if release == 2:  # (1)
        line = line.replace("<F0_M>", "<o,f0,male>", 1).replace("<F0_F>", "<o,f0,female>", 1)
        line = _VARIANT.sub("", line).replace("<sil>", "")
    fields = _KEY.sub("", line).split()  # (2)
    fields[1:2] = ["A"]  # (3)
    return joined(" ".join(fields))


def text_line(scored: str) -> str | None:
    """`id word word ...` of a scored line; None: it is no utterance. There may be no words."""
    if IGNORED in scored or COMMENT in scored:
        return None
    fields = scored.translate(str.maketrans("{}", "[]")).split()
    start, end = (int(float(time) * 100) for time in fields[3:5])
    return " ".join([f"{fields[0]}-{start:07d}-{end:07d}", *fields[6:]])


def segment_line(utterance: str) -> str:
    """`id recording start end` of an utterance, before anything is added at its ends.

    >>> segment_line("X_2010-0000028-0000114")
    'X_2010-0000028-0000114 X_2010 0000.28 0001.14'
    """
    talk, start, end = utterance.split("-")[:3]
    return f"{utterance} {talk} {_leading(start) / 100:07.2f} {_leading(end) / 100:07.2f}"


def lm_line(line: str, release: int = 2) -> str:
    """A line of the LM text as language models are made from it."""
    line = line.replace(" </s>", "")
    return joined(line) if release == 2 else line


def dictionary_lines(lines: Iterable[str]) -> list[str]:
    """The lexicon, `word phone phone ...`, sorted, each line once."""
    kept = {_VARIANT.sub("", line) for line in lines if not _OWN.search(line)}
    return sorted({*kept, f"{UNKNOWN} {UNKNOWN_PHONE}"})


def nonsilence_phones(lexicon: Iterable[str]) -> list[str]:
    """All phones of a lexicon's lines but silence, sorted; that of <unk> is among them, if a word
    of the dictionary has it."""
    own = f"{UNKNOWN} {UNKNOWN_PHONE}"
    phones = {phone for line in lexicon if line != own for phone in line.split()[1:]}
    return sorted(phone for phone in phones if SILENCE not in phone)


def _leading(text: str) -> float:
    """The number that a text begins with, or 0, as awk reads it."""
    found = _NUMBER.match(text)
    return float(found[0]) if found else 0.0
