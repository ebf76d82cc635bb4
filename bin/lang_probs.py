"""`chainstitch lang-probs`: pronunciation and silence probabilities from alignments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def lang_probs(
    ali: Annotated[Path, typer.Argument(help="Directory that `align` wrote, of training data.")],
    lang: Annotated[Path, typer.Option(help="Lang directory that was aligned with.")],
    out: Annotated[Path, typer.Option(help="Dictionary to write, data/dict_probs say.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Estimate how likely each pronunciation is, and silence before and after each word.

    Writes a dictionary as Kaldi has it, with lexiconp.txt, lexiconp_silprob.txt and silprob.txt, of
    which `chainstitch lang` makes another lang directory (get_prons.sh and
    dict_dir_add_pronprobs.sh do the same, with the same numbers).

    Example:
        chainstitch lang-probs exp/ali/train --lang data/lang --out data/dict_probs
        chainstitch lang data/dict_probs --text data/train --out data/lang_probs
    """
    from chainstitch.utils.lang.aligned_words import aligned_words
    from chainstitch.utils.lang.dictionary import Dictionary, write_dictionary
    from chainstitch.utils.lang.directory import read_lang
    from chainstitch.utils.lang.estimation import Counts, estimate
    from chainstitch.utils.outputs import check_directory

    check_directory(out, "dictionary", overwrite, [ali, lang])
    language = read_lang(lang)
    counts = Counts()
    for utterance in aligned_words(ali, language):
        counts.add(utterance)
    probabilities = estimate(language.lexicon, counts)
    made = Dictionary(language.lexicon, language.silences, probabilities)
    write_dictionary(out, made, counts, overwrite)
    print(
        f"{out}: {counts.said.total()} words and {counts.silences} silences of {counts.utterances} "
        f"utterances; {len(counts.said)} of {len(probabilities.entries)} pronunciations were seen; "
        f"a silence is between words with probability {probabilities.overall:.2f}"
    )
