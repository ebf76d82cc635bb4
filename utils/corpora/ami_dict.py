"""AMI's lexicon: the CMU dictionary without stress, and the words that Kaldi's recipe adds.

    dictionary   WORD  PH1 PH0 ...; WORD(1) is another pronunciation, ;;; begins a comment. Stress
                 goes from the phones, and digits stay in words: 3D is TH R IY D IY
    words        only those of a list, if one is given: Kaldi takes the 50,000 of openslr.org/9
    added        what the recipe found to be missing a hundred times and more (ADDED), sounds that
                 are no words, and <unk>, which stands for all other words

Kaldi takes version 0.7a, in capitals. Newer ones are in small letters, with comments behind `#`;
they become capitals here, for transcripts are so.

`write` also makes vocabulary.txt, the words that language models know: those of the lexicon and
all of the training transcripts.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.corpora.tables import write_tables
from chainstitch.utils.data.sentences import transcripts
from chainstitch.utils.errors import UserError
from chainstitch.utils.outputs import check_directory

SILENCE_PHONES = ("sil", "laughter", "noise", "oov")
SOUNDS = ("[laughter] laughter", "[noise] noise", "[oov] oov", "<unk> oov")
ADDED = (
    "MM M",
    "HMM HH M",
    "MM-HMM M HH M",
    "COLOUR K AH L ER",
    "COLOURS K AH L ER Z",
    "REMOTES R IH M OW T Z",
    "FAVOURITE F EY V ER IH T",
)
COMMENT = ";;;"
_VARIANT = re.compile(r"(\S)\([0-9]+\)\Z")
_LATER_COMMENT = re.compile(r"\s#.*")

log = logging.getLogger(__name__)


def dictionary_line(line: str) -> str:
    """A line of the lexicon, `WORD PH PH ...`; empty for a comment.

    >>> dictionary_line("READ(1)  R IY1 D"), dictionary_line("3D  TH R IY2 D IY2")
    ('READ R IY D', '3D TH R IY D IY')
    """
    if COMMENT in line:
        return ""
    word, *phones = line.split() or [""]
    return " ".join([_VARIANT.sub(r"\1", word), *(re.sub("[0-9]", "", phone) for phone in phones)])


def read_dictionary(path: Path) -> list[str]:
    """The lexicon of a CMU dictionary, without what is added.

    Raises:
        UserError: a line has no phones, or there are none; or as utils/text.py.
    """
    lines = []
    for number, raw in texts.numbered(path):
        line = dictionary_line(_LATER_COMMENT.sub("", raw))
        if not line:
            continue
        if " " not in line:
            raise UserError(f"{path}:{number}: {line[:60]!r} has no phones, wanted WORD PH PH ...")
        lines.append(line)
    if not lines:
        raise UserError(f"{path} has no entries, wanted lines of WORD PH PH ...; copy it again")
    entries = [line.split(" ", 1) for line in lines]
    if not any(word != word.lower() for word, _ in entries):
        log.info("%s is in small letters; its words become capitals, as in AMI", path)
        lines = [f"{word.upper()} {phones}" for word, phones in entries]
    return lines


def lexicon(dictionary: Iterable[str], words: set[str] | None) -> list[str]:
    """All lines, sorted, each once; words: which ones of the dictionary, None: all."""
    kept = (line for line in dictionary if words is None or _word(line) in words)
    return sorted({*kept, *ADDED, *SOUNDS})


def write(
    dictionary: Path,
    out: Path,
    words: Path | None = None,
    data: Path | None = None,
    overwrite: bool = False,
) -> int:
    """Writes the dictionary directory `out`; returns how many pronunciations it has.

    Args:
        words: a list of words, one a line, that the dictionary is limited to.
        data: the set of training, for the vocabulary.

    Raises:
        UsageError: `out` cannot be written, or `data` is no set.
        UserError: a file is damaged, or the list has no word of the dictionary.
    """
    check_directory(out, "dictionary", overwrite, [dictionary, words, data])
    read = read_dictionary(dictionary)
    listed = None if words is None else {line.strip() for line in texts.lines(words)}
    if listed is not None and not any(_word(line) in listed for line in read):
        raise UserError(f"{words} has no word of {dictionary}; wanted one a line, spelt as there")
    lines = lexicon(read, listed)
    phones = sorted({phone for line in lines for phone in line.split()[1:]} - {*SILENCE_PHONES})
    known = {_word(line) for line in lines}
    spoken: set[str] = set()
    for line in transcripts(data) if data is not None else ():
        spoken.update(line.split())
    tables = {
        "lexicon.txt": lines,
        "silence_phones.txt": SILENCE_PHONES,
        "nonsilence_phones.txt": phones,
        "optional_silence.txt": SILENCE_PHONES[:1],
        "extra_questions.txt": [" ".join(SILENCE_PHONES)],
        "vocabulary.txt": sorted(known | spoken),
    }
    write_tables(out, "dictionary", tables, overwrite)
    if outside := len(spoken - known):
        log.info("%s: %d words of %s are not in the lexicon, and become <unk>", out, outside, data)
    return len(lines)


def _word(line: str) -> str:
    return line.split(" ", 1)[0]
