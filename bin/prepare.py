"""`chainstitch prepare`: a corpus on disk into set directories: manifests, or images.

A new corpus is a file in utils/corpora, and a function and a row of SUBCOMMANDS here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils.errors import UsageError
from chainstitch.utils.outputs import check_apart, check_directory

Source = Annotated[Path, typer.Argument(help="Directory of the corpus.")]
Sets = Annotated[Path, typer.Argument(help="Directory that gets train/, dev/, test/ or the like.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing sets.")]
SkipBroken = Annotated[bool, typer.Option("--skip-broken", help="Leave unreadable audio out.")]
MaxTrain = Annotated[
    int, typer.Option(min=0, max=10**9, help="Only the first N training images; 0: all.")
]
MaxTest = Annotated[
    int, typer.Option(min=0, max=10**9, help="Only the first N test images; 0: all.")
]
Unofficial = Annotated[
    bool, typer.Option("--unofficial", help="Accept whole files of another md5.")
]


def prepare() -> None:
    """Write recordings, supervisions and cuts for each set of a corpus. No audio is copied.

    Of CIFAR, the python or the binary form, and of MNIST: images, labels and names of classes.

    Examples:
    chainstitch prepare kaldi my_kaldi_dir data/train
    chainstitch prepare folder my_recordings data --split dev=0.1,test=0.1
    """


def yesno(source: Source, out: Sets, overwrite: Overwrite = False) -> None:
    """The 60 recordings of waves_yesno (OpenSLR 1): train, dev and test.

    Example: chainstitch prepare yesno waves_yesno data
    """
    from chainstitch.utils.corpora import yesno as corpus

    counts = corpus.prepare(_existing(source, beside=out), out, overwrite=overwrite)
    _report(out, counts)


def digits(
    source: Source,
    out: Sets,
    protocol: Annotated[str, typer.Option(help="official, or heldout-SPEAKER.")] = "official",
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Which digits make a string.")
    ] = 1,
    overwrite: Overwrite = False,
) -> None:
    """The Free Spoken Digit Dataset: isolated digits, and strings of them.

    Example: chainstitch prepare digits free-spoken-digit-dataset data --protocol heldout-theo
    """
    from chainstitch.utils.corpora import digits as corpus

    counts = corpus.prepare(
        _existing(source, beside=out), out, protocol=protocol, seed=seed, overwrite=overwrite
    )
    _report(out, counts)


def kaldi(
    source: Annotated[Path, typer.Argument(help="Kaldi directory: wav.scp, text, utt2spk.")],
    out: Annotated[Path, typer.Argument(help="The set directory to write.")],
    skip_broken: SkipBroken = False,
    overwrite: Overwrite = False,
) -> None:
    """A Kaldi data directory whose wav.scp names files; commands in it are not run.

    Example: chainstitch prepare kaldi my_kaldi_dir data/train
    """
    from chainstitch.utils.corpora import kaldi_dir as corpus

    check_directory(out, "set", overwrite, [source])
    counts = corpus.prepare(_existing(source), out, skip_broken=skip_broken, overwrite=overwrite)
    _report(out.parent, counts)


def folder(
    source: Annotated[Path, typer.Argument(help="Folder of X.wav with X.txt beside each.")],
    out: Annotated[
        Path,
        typer.Argument(help="The set directory; with --split, the one that gets train/, dev/."),
    ],
    split: Annotated[str, typer.Option(help="Sets to hold out: dev=0.1,test=0.1.")] = "",
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the split.")] = 1,
    skip_broken: SkipBroken = False,
    overwrite: Overwrite = False,
) -> None:
    """A folder of recordings and transcripts; those of a speaker in a folder of its own.

    Example: chainstitch prepare folder my_recordings data --split dev=0.1,test=0.1
    """
    from chainstitch.utils.corpora import folder as corpus

    if not split:
        check_directory(out, "set", overwrite, [source])
    counts = corpus.prepare(
        _existing(source, beside=out if split else None), out,
        split=split, seed=seed, skip_broken=skip_broken, overwrite=overwrite,
    )  # fmt: skip
    _report(out if split else out.parent, counts)


def tedlium(
    source: Annotated[
        Path, typer.Argument(help="What the archive unpacks to, TEDLIUM_release2 say.")
    ],
    out: Annotated[
        Path, typer.Argument(help="Directory that gets train/, dev/, test/, dict/ and lm_text/.")
    ],
    release: Annotated[
        int, typer.Option(min=2, max=3, help="2, or 3, whose `legacy` sets are taken.")
    ] = 2,
    lm_text: Annotated[bool, typer.Option(help="Write the text for language models, too.")] = True,
    lm_dev_lines: Annotated[
        int, typer.Option(min=1, max=10**9, help="Transcripts held out from that text.")
    ] = 10_000,
    skip_broken: SkipBroken = False,
    overwrite: Overwrite = False,
) -> None:
    """TED-LIUM: sets with their stm for scoring, the dictionary, and the text for LMs.

    Example: chainstitch prepare tedlium TEDLIUM_release2 data
    """
    from chainstitch.utils.corpora import tedlium as corpus

    counts = corpus.prepare(
        _existing(source, beside=out), out, release=release, lm_text=lm_text,
        lm_dev_lines=lm_dev_lines, skip_broken=skip_broken, overwrite=overwrite,
    )  # fmt: skip
    _report(out, counts)


def ami(
    source: Annotated[Path, typer.Argument(help="Directory with AMI's audio, at any depth.")],
    out: Annotated[Path, typer.Argument(help="Directory that gets train/, dev/ and eval/.")],
    mic: Annotated[
        str, typer.Option(help="ihm: headsets; sdm1: a distant one; mdm8: eight, beamformed.")
    ] = "ihm",
    annotations: Annotated[
        Path | None,
        typer.Option(help="What ami_public_manual_1.6.1.zip unpacks to; or SOURCE/annotations."),
    ] = None,
    release: Annotated[str, typer.Option(help="Of the annotations.")] = "1.6.1",
    skip_broken: SkipBroken = False,
    overwrite: Overwrite = False,
) -> None:
    """AMI's meetings by one kind of microphone, with the stm of dev and eval for scoring.

    Example: chainstitch prepare ami amicorpus data/sdm1 --mic sdm1 --annotations ami_manual_1.6.1
    """
    from chainstitch.utils.corpora import ami as corpus

    if annotations is not None:
        _existing(annotations, beside=out)
    counts = corpus.prepare(
        _existing(source, beside=out), out, mic=mic, annotations=annotations, release=release,
        skip_broken=skip_broken, overwrite=overwrite,
    )  # fmt: skip
    _report(out, counts)


def ami_dict(
    source: Annotated[Path, typer.Argument(help="The CMU dictionary, cmudict.0.7a say.")],
    out: Annotated[Path, typer.Argument(help="The dictionary directory to write.")],
    words: Annotated[
        Path | None, typer.Option(help="Only these words of it: openslr.org/9, wordlist.50k.gz.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Training set, whose words vocabulary.txt has, too.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """AMI's lexicon, of the CMU dictionary, and the vocabulary of its language models.

    Example: chainstitch prepare ami-dict cmudict.0.7a data/dict --data data/ihm/train
    """
    from chainstitch.utils.corpora import ami_dict as dictionary

    count = dictionary.write(source, out, words, data, overwrite)
    print(f"{out}: {count} pronunciations")


def fisher(
    source: Annotated[Path, typer.Argument(help="Where LDC2004T19's data/trans is, at any depth.")],
    out: Annotated[Path, typer.Argument(help="The text directory to write.")],
    style: Annotated[
        str, typer.Option(help="ami: in capitals; swbd: in small letters, with acronyms.")
    ] = "ami",
    overwrite: Overwrite = False,
) -> None:
    """Fisher's transcripts, as text for language models.

    Example: chainstitch prepare fisher LDC2004T19 data/fisher_text --style ami
    """
    from chainstitch.utils.corpora import fisher as corpus

    count = corpus.write_text(_existing(source, beside=out), out, style, overwrite)
    print(f"{out}: {count} turns")


def swbd(
    source: Annotated[Path, typer.Argument(help="LDC97S62: its .sph lie at any depth.")],
    out: Annotated[Path, typer.Argument(help="Directory that gets train/, dict/ and lm_text/.")],
    transcripts: Annotated[
        Path | None,
        typer.Option(help="Those of openslr.org/5; or SOURCE/swb_ms98_transcriptions."),
    ] = None,
    conv_tab: Annotated[
        Path | None, typer.Option(help="Who speaks: conv.tab; or each side is a speaker.")
    ] = None,
    lm_dev_lines: Annotated[
        int, typer.Option(min=1, max=10**9, help="Transcripts held out from the LM text.")
    ] = 10_000,
    skip_broken: SkipBroken = False,
    overwrite: Overwrite = False,
) -> None:
    """Switchboard-1: the training set, the dictionary with acronyms, and the text for LMs.

    Example: chainstitch prepare swbd LDC97S62 data --transcripts swb_ms98_transcriptions
    """
    from chainstitch.utils.corpora import swbd as corpus

    for given in filter(None, (source, transcripts)):
        _existing(given, beside=out)
    counts = corpus.prepare(
        source, out, transcripts=transcripts, conv_tab=conv_tab, lm_dev_lines=lm_dev_lines,
        skip_broken=skip_broken, overwrite=overwrite,
    )  # fmt: skip
    _report(out, counts)


def eval2000(
    source: Annotated[Path, typer.Argument(help="LDC2002S09: hub5e_00, or where it lies.")],
    out: Annotated[Path, typer.Argument(help="The set directory to write.")],
    transcripts: Annotated[Path, typer.Option(help="LDC2002T43.")],
    calls: Annotated[int, typer.Option(min=1, max=10**6, help="So many there must be.")] = 40,
    overwrite: Overwrite = False,
) -> None:
    """Switchboard's test set, Hub5 2000, with its stm and glm.

    Example: chainstitch prepare eval2000 LDC2002S09 data/eval2000 --transcripts LDC2002T43
    """
    from chainstitch.utils.corpora import swbd_eval as corpus

    count = corpus.prepare_eval2000(
        _existing(source), out, transcripts=_existing(transcripts), calls=calls,
        overwrite=overwrite,
    )  # fmt: skip
    _report(out.parent, {out.name: count})


def rt03(
    source: Annotated[Path, typer.Argument(help="LDC2007S10, with data/ in it.")],
    out: Annotated[Path, typer.Argument(help="The set directory to write.")],
    overwrite: Overwrite = False,
) -> None:
    """The telephone calls of RT-03, a test set for Switchboard, with its stm and glm.

    Example: chainstitch prepare rt03 LDC2007S10 data/rt03
    """
    from chainstitch.utils.corpora import swbd_eval as corpus

    count = corpus.prepare_rt03(_existing(source), out, overwrite=overwrite)
    _report(out.parent, {out.name: count})


def cifar10(
    source: Source,
    out: Sets,
    max_train: MaxTrain = 0,
    max_test: MaxTest = 0,
    unofficial: Unofficial = False,
    overwrite: Overwrite = False,
) -> None:
    """The images of CIFAR-10, of the python or the binary archive, unpacked.

    Example: chainstitch prepare cifar10 cifar-10-batches-py data/cifar10
    """
    from chainstitch.utils.corpora import cifar as corpus

    counts = corpus.prepare(
        _existing(source), out, "cifar10", max_train, max_test, unofficial, overwrite
    )
    _report(out, counts, "images")


def cifar100(
    source: Source,
    out: Sets,
    max_train: MaxTrain = 0,
    max_test: MaxTest = 0,
    unofficial: Unofficial = False,
    overwrite: Overwrite = False,
) -> None:
    """The images of CIFAR-100, with its 100 classes.

    Example: chainstitch prepare cifar100 cifar-100-python data/cifar100
    """
    from chainstitch.utils.corpora import cifar as corpus

    counts = corpus.prepare(
        _existing(source), out, "cifar100", max_train, max_test, unofficial, overwrite
    )
    _report(out, counts, "images")


def mnist(
    source: Source,
    out: Sets,
    max_train: MaxTrain = 0,
    max_test: MaxTest = 0,
    overwrite: Overwrite = False,
) -> None:
    """The images of MNIST, four idx.gz files; those of Fashion-MNIST have the same names and form.

    Example: chainstitch prepare mnist mnist data/mnist
    """
    from chainstitch.utils.corpora import mnist as corpus

    counts = corpus.prepare(_existing(source), out, max_train, max_test, overwrite)
    _report(out, counts, "images")


def _existing(source: Path, beside: Path | None = None) -> Path:
    """The source; its sets may not lie in it, which is known before it is read."""
    if not source.is_dir():
        raise UsageError(f"{source} is not a directory; give the one that holds the corpus")
    if beside is not None:
        check_apart(beside / "train", source)
    return source


def _report(directory: Path, counts: dict[str, int], unit: str = "utterances") -> None:
    for name, count in counts.items():
        print(f"{directory / name}: {count} {unit}")


SUBCOMMANDS = {
    "yesno": yesno,
    "digits": digits,
    "kaldi": kaldi,
    "folder": folder,
    "tedlium": tedlium,
    "ami": ami,
    "ami-dict": ami_dict,
    "fisher": fisher,
    "swbd": swbd,
    "eval2000": eval2000,
    "rt03": rt03,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "mnist": mnist,
}
KIND = "corpus"  # what a subcommand is called in messages
