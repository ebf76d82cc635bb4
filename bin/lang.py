"""`chainstitch lang`: lexicon and grammar to a lang directory."""

from __future__ import annotations

import logging
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer


def lang(
    out: Annotated[Path, typer.Option(help="the lang directory to write, e.g. data/lang")],
    lexicon: Annotated[
        Path | None,
        typer.Argument(
            help="lines of WORD PHONE PHONE ..., or a Kaldi dictionary directory; may be left out "
            "with --oov graphemes"
        ),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option(help="LM from this text: a data directory or a text file; may be repeated"),
    ] = None,
    lm: Annotated[Path | None, typer.Option(help="LM from this ARPA file (or .gz)")] = None,
    grammar: Annotated[
        str | None, typer.Option(help="uniform: any words in any order, all as likely")
    ] = None,
    ngram_order: Annotated[
        int, typer.Option(min=2, max=6, help="order of the LM that --text makes")
    ] = 3,
    words_from: Annotated[
        list[Path] | None,
        typer.Option(help="the lexicon must have this text's words, too; may be repeated"),
    ] = None,
    extra_lexicon: Annotated[
        Path | None, typer.Option(help="entries of your own; they replace LEXICON's")
    ] = None,
    oov: Annotated[
        str,
        typer.Option(
            help="words missing from the lexicon: error, graphemes (by letters), or unk (all "
            "stand as one word, that of --unk, also in training and alignment)"
        ),
    ] = "error",
    unk: Annotated[str, typer.Option(help="the word of the lexicon for --oov unk")] = "<unk>",
    silence_phones: Annotated[
        str | None,
        typer.Option(help="'SIL SPN': silence and noise, the optional silence first; default SIL"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
) -> None:
    """Makes words.txt, phones.txt, L, G and the topology from a lexicon and exactly one LM source.

    LEXICON may be a Kaldi dictionary directory (silence_phones.txt, optional_silence.txt,
    lexicon.txt), and have probabilities, in a lexiconp.txt, or a lexiconp_silprob.txt and the
    silprob.txt beside it: `chainstitch lang-probs` estimates them. WORD(2) is a variant of WORD.

    Examples:
        chainstitch lang data/lexicon.txt --text data/train --out data/lang
        chainstitch lang data/dict --oov unk --lm lm.arpa.gz --out data/lang
    """
    from chainstitch.utils.data.sentences import numbered_sentences
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.lang import lexicon as lexicons
    from chainstitch.utils.lang import ngram
    from chainstitch.utils.lang.dictionary import read_dictionary
    from chainstitch.utils.lang.directory import write_lang
    from chainstitch.utils.outputs import check_directory

    if [bool(text), lm is not None, grammar is not None].count(True) != 1:
        raise UsageError("give exactly one of --text SET, --lm FILE.arpa and --grammar uniform")
    if grammar not in (None, "uniform"):
        raise UsageError(f"--grammar {grammar!r} is unknown; wanted uniform")
    if oov not in ("error", "graphemes", "unk"):
        raise UsageError(f"--oov {oov!r} is unknown; wanted error or graphemes or unk")
    if lexicon is None and extra_lexicon is None and oov != "graphemes":
        raise UsageError("no lexicon; give LEXICON, or --oov graphemes to go by the letters")
    inputs = [lexicon, *(text or []), lm, *(words_from or []), extra_lexicon]
    check_directory(out, "lang", overwrite, inputs)
    # as lines: lists of words would take some six times as much
    lines = [line for source in text or [] for _, line in numbered_sentences(source)]
    others = (line.split() for source in words_from or [] for _, line in numbered_sentences(source))
    chosen = None if silence_phones is None else silence_phones.split()
    given = read_dictionary(lexicon, chosen)
    entries = given.lexicon
    if extra_lexicon is not None:
        extra = lexicons.read_lexicon(extra_lexicon, given.silences)
        entries = lexicons.merge(entries, extra)
    called = str(lexicon or extra_lexicon)
    counts = lexicons.count_words(chain(map(str.split, lines), others))
    entries = lexicons.add_missing(entries, counts, oov, unk, called)
    unknown = unk if oov == "unk" else None
    if not entries:
        raise UsageError("there are no words; give LEXICON, --text or --words-from")

    if lm is not None:
        g = ngram.from_arpa(lm)
    else:
        known = (lexicons.known_words(line.split(), entries, unknown) for line in lines)
        g = ngram.from_text(known, ngram_order) if text else ngram.from_words()
    written = write_lang(out, entries, g, overwrite, given.silences, given.probabilities, unknown)
    logging.getLogger(__name__).info(
        "%s: %d words, %d phones with silence", out, len(entries), written.num_phones
    )
