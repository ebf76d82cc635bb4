"""TED-LIUM's dictionary and the text for its language models, written line by line.

The LM text has 250 million words, so that nothing of it is kept: a line is read, changed
(tedlium_text.py) and written.
"""

from __future__ import annotations

import logging
from pathlib import Path

from chainstitch.utils import text as texts
from chainstitch.utils.corpora import tedlium_text as rules
from chainstitch.utils.corpora.tables import write_tables
from chainstitch.utils.errors import UserError
from chainstitch.utils.files import atomic_directory, gzipped

REPORTED = 2_000_000  # lines from one line of progress to the next
LEVEL = 6  # of gzip, which takes half of the time: 1.5 million words a second in all

log = logging.getLogger(__name__)


def read_dictionary(path: Path) -> list[str]:
    """The lexicon, `word phone phone ...`, that the dictionary at `path` comes to.

    Raises:
        UserError: there is none, or a line has no phones; or as utils/text.py.
    """
    if not path.is_file():
        raise UserError(f"{path} is missing; give the directory that TED-LIUM's archive unpacks to")
    lines = []
    for number, line in texts.numbered(path):
        fields = line.split()
        if len(fields) == 1:
            raise UserError(f"{path}:{number}: {fields[0]!r} has no phones, wanted WORD PHONE ...")
        if fields:
            lines.append(line)
    if not lines:
        raise UserError(f"{path} has no entries, wanted lines of WORD PHONE ...; copy it again")
    return rules.dictionary_lines(lines)


def write_dictionary(lexicon: list[str], out: Path, overwrite: bool) -> None:
    """Writes out/: the lexicon, and what kinds of phones there are."""
    tables = {
        "lexicon.txt": lexicon,
        "silence_phones.txt": [rules.SILENCE, rules.UNKNOWN_PHONE],
        "nonsilence_phones.txt": rules.nonsilence_phones(lexicon),
        "optional_silence.txt": [rules.SILENCE],
        "extra_questions.txt": [],
    }
    write_tables(out, "dictionary", tables, overwrite)
    log.info("%s: %d pronunciations", out, len(lexicon))


def write_lm_text(
    sources: list[Path],
    transcripts: list[str],
    num_dev: int,
    out: Path,
    release: int,
    overwrite: bool,
) -> None:
    """Writes out/: the LM text, and the transcripts in two parts.

    Args:
        sources: the parts of the LM text, in their order.
        transcripts: of train, in the order of ids; the first `num_dev` become dev.txt.

    Raises:
        UserError: a source is damaged or not UTF-8; names the line.
    """
    lines = words = 0
    with atomic_directory(out, "text", overwrite) as temporary:
        for name, part in (("dev", transcripts[:num_dev]), ("train", transcripts[num_dev:])):
            content = "".join(f"{text}\n" for text in part)
            (temporary / f"{name}.txt").write_text(content, encoding="utf-8")
        with (
            open(temporary / "lm.txt.gz", "wb") as opened,
            gzipped(opened, LEVEL) as stream,
        ):
            for source in sources:
                for _, line in texts.numbered(source):
                    sentence = rules.lm_line(line, release)
                    if not sentence.strip():
                        continue
                    stream.write(sentence.encode() + b"\n")
                    lines, words = lines + 1, words + sentence.count(" ") + 1
                    if lines % REPORTED == 0:
                        log.info("%s: %d lines, %d words", out, lines, words)
        if not lines:
            raise UserError(f"{sources[0].parent}/*.en.gz hold no text; copy them again")
    log.info("%s: %d lines, %d words of LM text", out, lines, words)
