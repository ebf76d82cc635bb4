"""`chainstitch den-graph`: the denominator graph of LF-MMI, from transcripts or alignments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def den_graph(
    conf: Annotated[Path, typer.Argument(help="Training config; its [graph] section counts.")],
    lang: Annotated[Path, typer.Option(help="Lang directory.")],
    out: Annotated[Path, typer.Option(help="File to write, exp/den.npz say.")],
    data: Annotated[
        Path | None, typer.Option(help="Training set: its transcripts are the text.")
    ] = None,
    ali: Annotated[
        Path | None,
        typer.Option(help="Alignment directory: its phones are the text, instead of --data."),
    ] = None,
    tree: Annotated[
        Path | None, typer.Option(help="Directory that `tree` wrote; default: two pdfs a phone.")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of the silences drawn into the text.")
    ] = 0,
    text: Annotated[
        Path | None, typer.Option(help="Also write the graph as OpenFst text, for fstcompile.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing OUT.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key: graph.ngram_order=3.")
    ] = None,
) -> None:
    """Estimate the phone LM and write the denominator graph with its initial probabilities.

    The graph holds the leaves of the tree, so that later commands need not be told of it.

    Example: chainstitch den-graph conf/tdnn_1a.toml --data data/train --lang data/lang
    --out exp/den.npz
    """
    from chainstitch.nnet.chain import denominator_from_phone_lm, estimate_phone_lm
    from chainstitch.nnet.chain.supervision import phone_sentences
    from chainstitch.nnet.tasks.speech_config import SpeechConfig
    from chainstitch.utils import config as configs
    from chainstitch.utils.data.alignments import FILE as ALI
    from chainstitch.utils.data.alignments import read_alignments
    from chainstitch.utils.data.sentences import transcripts
    from chainstitch.utils.errors import UsageError, UserError
    from chainstitch.utils.hmm.tree import FILE as TREE
    from chainstitch.utils.hmm.tree import Tree
    from chainstitch.utils.lang.directory import check_phones, read_lang
    from chainstitch.utils.outputs import check_file

    graph = configs.load(conf, SpeechConfig, set_ or ()).graph
    inputs = [conf, lang, data, ali, tree]
    check_file(out, "denominator graph", overwrite, inputs)
    if text is not None:
        check_file(text, "FST text", overwrite, [*inputs, out])
    language = read_lang(lang)
    leaves = None
    if tree is not None:
        grown = Tree.load(tree / TREE)
        check_phones(language, grown.phones, tree / TREE, "run `chainstitch tree` again")
        leaves = grown.leaves()
    if ali is not None:
        aligned = read_alignments(ali / ALI, language.phones)
        sentences = [[phone for phone, _ in phones] for phones in aligned.values()]
    elif data is None:
        raise UsageError("no text for the phone LM; give --data SET or --ali DIR")
    else:
        lines = list(transcripts(data))  # lists of words would take some six times as much
        found = {w for line in lines for w in language.known(line.split())}
        unknown = sorted(found - set(language.lexicon))
        if unknown:
            raise UserError(
                f"{data}: {len(unknown)} words are not in {lang} ({', '.join(unknown[:5])}); run "
                "`chainstitch lang` again with pronunciations for them"
            )
        between, edges = graph.silence_between, graph.silence_edges
        sentences = phone_sentences(
            map(str.split, lines), language, between, edges, graph.shuffle_words, seed
        )
    try:
        lm = estimate_phone_lm(
            sentences, graph.ngram_order, graph.no_prune_order, graph.num_extra_states
        )
    except ValueError as error:
        raise UserError(f"{conf}, [graph]: {error}") from None
    denominator = denominator_from_phone_lm(lm, language.num_phones, leaves)
    denominator.phones = language.phone_names
    out.parent.mkdir(parents=True, exist_ok=True)
    denominator.save(out)
    if text is not None:
        denominator.write_fst_text(text)
    print(
        f"{out}: {denominator.num_states} states, {len(denominator.src)} arcs, "
        f"{denominator.num_pdfs} pdfs, from {len(sentences)} "
        + ("transcripts" if ali is None else "alignments")
    )
