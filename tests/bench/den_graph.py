#!/usr/bin/env python3
"""How long a denominator graph of usual size takes to make from text, and how big it gets.

Every word of TEXT (a sentence a line) becomes its first pronunciation in DICTIONARY (lines of WORD
PHONE ...); words without one are dropped and counted; there are no silences. From these phones come
the phone LM (order 4, --extra-states histories beyond its trigram states) and the denominator.

Example: python tests/bench/den_graph.py ../shared/data/ptb/ptb.train.txt \
    ../shared/data/cmudict/cmudict-en-us.dict
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from chainstitch.nnet.chain import denominator_from_phone_lm, estimate_phone_lm
from chainstitch.utils.lang.lexicon import count_words, missing_words, phones_of, read_lexicon
from chainstitch.utils.log import environment

Made = TypeVar("Made")


def timed(what: str, make: Callable[[], Made]) -> Made:
    """What `make` returns; prints the seconds it took."""
    began = time.perf_counter()
    made = make()
    print(f"{what:24} {time.perf_counter() - began:7.2f} s")
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("text", type=Path, help="a sentence a line")
    parser.add_argument("dictionary", type=Path, help="lines of WORD PHONE PHONE ...")
    parser.add_argument("--extra-states", type=int, default=2000)
    options = parser.parse_args()
    print(environment())
    began = time.perf_counter()
    lexicon = timed("dictionary", lambda: read_lexicon(options.dictionary))
    lines = [line.split() for line in options.text.read_text(encoding="utf-8").splitlines()]
    counts = count_words(lines)
    missing = missing_words(counts, lexicon)
    first = {word: lexicon[word][0] for word in counts if word in lexicon}
    phones = phones_of({word: [pronunciation] for word, pronunciation in first.items()})
    number = {phone: i for i, phone in enumerate(phones, start=1)}
    numbered = {word: [number[p] for p in pronunciation] for word, pronunciation in first.items()}
    sentences = [[p for word in line for p in numbered.get(word, ())] for line in lines]
    sentences = [sentence for sentence in sentences if sentence]
    lm = timed("phone LM", lambda: estimate_phone_lm(sentences, 4, 3, options.extra_states))
    graph = timed("denominator", lambda: denominator_from_phone_lm(lm, len(phones)))
    groups = timed("arcs by group and state", lambda: graph.groups)
    print(f"{'all, reading included':24} {time.perf_counter() - began:7.2f} s")
    print(
        f"words: {sum(counts.values()):,} of {len(counts):,} kinds; "
        f"dropped {sum(missing.values()):,} of {len(missing):,} kinds without a pronunciation\n"
        f"sentences with phones: {len(sentences):,}, phones in them: {sum(map(len, sentences)):,}\n"
        f"phones: {len(phones)}, pdfs: {graph.num_pdfs}\n"
        f"phone LM: {len(lm.arcs):,} states, {sum(map(len, lm.arcs)):,} arcs\n"
        f"denominator: {graph.num_states:,} states, {len(graph.src):,} arcs, "
        f"{len(groups['group_pdf']):,} groups"
    )


if __name__ == "__main__":
    main()
