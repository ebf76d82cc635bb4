"""`chainstitch ivectors`: train an i-vector extractor, and extract i-vectors with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what exists.")]


def ivectors() -> None:
    """I-vectors: what speaker and channel do to the features, as a second input of networks.

    Example:
    chainstitch ivectors train conf/ivector.toml --data data/train_hires --out exp/ivector
    chainstitch ivectors extract exp/ivector --data data/train_hires --online
    """


def train(
    conf: Annotated[Path, typer.Argument(help="TOML file: num_gauss, dim, ...; may be empty.")],
    data: Annotated[Path, typer.Option(help="Training set that `features` wrote.")],
    out: Annotated[Path, typer.Option(help="Experiment directory to write.")],
    overwrite: Overwrite = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of CONF: num_gauss=256.")
    ] = None,
) -> None:
    """Train PCA, UBM and extractor on the features of a training set.

    Example: chainstitch ivectors train conf/ivector.toml --data data/train_hires --out exp/ivector
    """
    from chainstitch.nnet.ivector.sets import IvectorConfig, train_set
    from chainstitch.utils import config as configs

    config = configs.load(conf, IvectorConfig, set_ or ())
    lines = train_set(data, out, config, overwrite, more_inputs=[conf])
    last = lines[-1]
    print(f"{out}: objective {last['objective']:.3f} per frame, {last['seconds']:.0f} s")


def extract(
    exp: Annotated[Path, typer.Argument(help="Directory that `ivectors train` wrote.")],
    data: Annotated[Path, typer.Option(help="Feature directory that `features` wrote.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write; by default DATA/ivectors.h5.")
    ] = None,
    online: Annotated[
        bool, typer.Option("--online", help="An estimate every 10 frames, from the frames so far.")
    ] = False,
    per_speaker: Annotated[
        bool, typer.Option("--per-speaker", help="A speaker's utterances share statistics.")
    ] = False,
    utterances: Annotated[
        int,
        typer.Option(
            min=0, max=10**9, help="At most so many share them (2 for training sets); 0: all."
        ),
    ] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Write the i-vectors of every utterance of a set.

    Examples:
    chainstitch ivectors extract exp/ivector --data data/train_hires --online --per-speaker \
--utterances 2
    chainstitch ivectors extract exp/ivector --data data/test_hires --online --per-speaker
    """
    from chainstitch.nnet.ivector.sets import extract_set

    path, count = extract_set(
        exp, data, out, online=online, per_speaker=per_speaker, utterances=utterances,
        overwrite=overwrite,
    )  # fmt: skip
    print(f"{path}: i-vectors of {count} utterances")


SUBCOMMANDS = {"train": train, "extract": extract}
