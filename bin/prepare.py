"""`chainstitch prepare`: a corpus on disk into set directories of lhotse manifests."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils.errors import UsageError

CORPORA = ("yesno", "digits", "kaldi", "folder")


def prepare(
    corpus: Annotated[str, typer.Argument(help=f"What it is: {', '.join(CORPORA)}.")],
    source: Annotated[Path, typer.Argument(help="Directory of the corpus.")],
    out: Annotated[
        Path,
        typer.Argument(
            help="yesno, digits, folder --split: the directory that gets train/, dev/, ...; "
            "kaldi, folder: the set directory itself."
        ),
    ],
    protocol: Annotated[
        str, typer.Option(help="digits: official, or heldout-SPEAKER.")
    ] = "official",
    split: Annotated[str, typer.Option(help="folder: sets to hold out, dev=0.1,test=0.1.")] = "",
    seed: Annotated[int, typer.Option(help="digits, folder: of the strings or the split.")] = 1,
    skip_broken: Annotated[
        bool, typer.Option("--skip-broken", help="kaldi, folder: leave unreadable audio out.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing sets.")] = False,
) -> None:
    """Write recordings, supervisions and cuts for each set of a corpus. No audio is copied.

    Example: chainstitch prepare folder my_recordings data --split dev=0.1,test=0.1
    """
    if corpus not in CORPORA:
        near = difflib.get_close_matches(corpus, CORPORA, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(CORPORA)}"
        raise UsageError(f"unknown corpus {corpus!r}; {hint}")
    if not source.is_dir():
        raise UsageError(f"{source} is not a directory; give the one that holds the corpus")

    from chainstitch.utils.corpora import digits, folder, kaldi_dir, yesno

    if corpus == "yesno":
        counts = yesno.prepare(source, out, overwrite=overwrite)
    elif corpus == "digits":
        counts = digits.prepare(source, out, protocol=protocol, seed=seed, overwrite=overwrite)
    elif corpus == "kaldi":
        counts = kaldi_dir.prepare(source, out, skip_broken=skip_broken, overwrite=overwrite)
    else:
        counts = folder.prepare(
            source, out, split=split, seed=seed, skip_broken=skip_broken, overwrite=overwrite
        )
    single = corpus == "kaldi" or (corpus == "folder" and not split)
    for name, count in counts.items():
        print(f"{out if single else out / name}: {count} utterances")
