"""`chainstitch features`: MFCC of a set, with speed and volume copies for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def features(
    conf: Annotated[Path, typer.Argument(help="TOML file: sampling_rate, num_ceps, mean, ...")],
    data: Annotated[Path, typer.Option(help="Set directory that `prepare` wrote.")],
    out: Annotated[Path, typer.Option(help="Feature directory to write.")],
    augment: Annotated[
        bool, typer.Option("--augment", help="Speed and volume copies; for training sets only.")
    ] = False,
    prior: Annotated[
        Path | None,
        typer.Option(help="Training set's feature directory: where the causal mean starts from."),
    ] = None,
    nj: Annotated[
        int, typer.Option(min=1, max=4096, help="Processes; the result does not depend on it.")
    ] = 1,
    part: Annotated[
        str | None,
        typer.Option(help="3/8: only the third of eight shares, for jobs; then --merge."),
    ] = None,
    merge: Annotated[
        int, typer.Option(min=0, max=100000, help="8: make OUT of eight such shares.")
    ] = 0,
    allow_commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands", help="Run what the set's cuts say makes audio, or fetch it."
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing OUT.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override a key of CONF: mean=causal.")
    ] = None,
) -> None:
    """Extract features of every utterance of a set, raw; means are subtracted when they are read.

    Example: chainstitch features conf/features.toml --data data/train --out data/train_hires
    """
    from chainstitch.utils import config as configs
    from chainstitch.utils import job_parts
    from chainstitch.utils.data.extraction import extract_set
    from chainstitch.utils.data.features import FeatureConfig

    config = configs.load(conf, FeatureConfig, set_ or ())
    share = job_parts.parse(part) if part else None
    done = extract_set(
        data, out, config, augment=augment, prior=prior, nj=nj, overwrite=overwrite,
        part=share, merge=merge, more_inputs=[conf], allow_commands=allow_commands,
    )  # fmt: skip
    print(
        f"{out}{f', {share}' if share else ''}: {done.cuts} utterances, {done.frames} frames of "
        f"{config.num_ceps} in {done.seconds:.0f} s"
    )
