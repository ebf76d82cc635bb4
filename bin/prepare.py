"""`chainstitch prepare`: a corpus on disk into set directories: manifests, or images."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils.errors import UsageError

CORPORA = ("yesno", "digits", "kaldi", "folder", "cifar10", "cifar100")


def prepare(
    corpus: Annotated[str, typer.Argument(help=f"What it is: {', '.join(CORPORA)}.")],
    source: Annotated[Path, typer.Argument(help="Directory of the corpus.")],
    out: Annotated[
        Path,
        typer.Argument(
            help="yesno, digits, cifar, folder --split: the directory that gets train/, dev/, ...; "
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
    max_train: Annotated[
        int, typer.Option(min=0, help="cifar: only the first N training images; 0: all.")
    ] = 0,
    max_test: Annotated[
        int, typer.Option(min=0, help="cifar: only the first N test images; 0: all.")
    ] = 0,
    unofficial: Annotated[
        bool, typer.Option("--unofficial", help="cifar: accept whole files of another md5.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing sets.")] = False,
) -> None:
    """Write recordings, supervisions and cuts for each set of a corpus. No audio is copied.

    Of CIFAR, the python or the binary form: images, labels and the names of classes.

    Example: chainstitch prepare folder my_recordings data --split dev=0.1,test=0.1
    """
    if corpus not in CORPORA:
        near = difflib.get_close_matches(corpus, CORPORA, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(CORPORA)}"
        raise UsageError(f"unknown corpus {corpus!r}; {hint}")
    if not source.is_dir():
        raise UsageError(f"{source} is not a directory; give the one that holds the corpus")

    if corpus in ("cifar10", "cifar100"):
        from chainstitch.utils.corpora import cifar

        numbers = cifar.prepare(source, out, corpus, max_train, max_test, unofficial, overwrite)
        for name, count in numbers.items():
            print(f"{out / name}: {count} images")
        return
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
