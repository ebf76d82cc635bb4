"""`chainstitch tree`: a left-biphone or triphone context tree from alignments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tree(
    data: Annotated[Path, typer.Option(help="Feature directory of the aligned utterances.")],
    ali: Annotated[Path, typer.Option(help="Alignment directory; its ali.gz counts.")],
    lang: Annotated[Path, typer.Option(help="Lang directory.")],
    out: Annotated[Path, typer.Option(help="Directory to write, exp/tree say.")],
    leaves: Annotated[int, typer.Option(min=1, max=10**6, help="How many pdfs to make.")],
    context_width: Annotated[
        int,
        typer.Option(
            min=2, max=3, help="2: ask about the phone on the left; 3: on both sides (triphones)."
        ),
    ] = 2,
    min_gain: Annotated[
        float, typer.Option(min=0.0, max=1e9, help="Make no split that gains less log-likelihood.")
    ] = 0.0,
    merge: Annotated[bool, typer.Option(help="Merge leaves of a phone that are alike.")] = True,
    num_ceps: Annotated[
        int, typer.Option(min=1, max=1000, help="Of the features, so many, with their differences.")
    ] = 13,
    subsampling: Annotated[
        int, typer.Option(min=1, max=100, help="Input frames per output frame of the network.")
    ] = 3,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing OUT.")
    ] = False,
) -> None:
    """Grow a tree that says which pdfs a phone has between others; for `den-graph --tree`.

    Triphone trees (--context-width 3) make larger graphs; no later command has to be told.

    Example: chainstitch tree --data data/train_hires --ali exp/ali --lang data/lang
    --out exp/tree --leaves 500
    """
    from chainstitch.utils.data.alignments import FILE as ALI
    from chainstitch.utils.data.alignments import read_alignments
    from chainstitch.utils.data.features import FeatureReader
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.files import atomic_directory
    from chainstitch.utils.hmm.tree import FILE
    from chainstitch.utils.hmm.tree_growing import build_tree
    from chainstitch.utils.hmm.tree_statistics import gather
    from chainstitch.utils.lang.directory import PHONES, read_lang
    from chainstitch.utils.outputs import check_directory

    check_directory(out, "tree", overwrite, [data, ali, lang])
    language = read_lang(lang)
    if leaves < language.num_phones:
        raise UsageError(
            f"--leaves {leaves}: the {language.num_phones} phones of {lang} need a leaf each; "
            f"ask for {language.num_phones} or more"
        )
    alignments = read_alignments(ali / ALI, language.phones)
    stats = gather(FeatureReader(data), alignments, num_ceps, subsampling)
    made, growth = build_tree(
        stats, language.phone_names, leaves, min_gain, merge, context_width=context_width
    )
    with atomic_directory(out, "tree", overwrite) as directory:
        made.save(directory / FILE)
        (directory / PHONES).write_bytes((language.path / PHONES).read_bytes())
    print(
        f"{out}: {made.num_pdfs} leaves for {language.num_phones} phones ({growth.split} split, "
        f"{growth.merged} merged), context width {made.context_width}, {len(made.sets)} sets of "
        f"phones asked for, {growth.frames} frames; "
        f"log-likelihood per frame {growth.before:.3f} with a leaf a phone, {growth.after:.3f} now"
    )
