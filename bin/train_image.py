"""`chainstitch train-image`: train an image classifier, by the same optimiser as `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train_image(
    conf: Annotated[Path, typer.Argument(help="TOML file: network, optim, training.")],
    data: Annotated[Path, typer.Option(help="Images to train on, as `prepare` writes them.")],
    valid: Annotated[Path, typer.Option(help="Images to validate on.")],
    out: Annotated[Path, typer.Option(help="Experiment directory to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Of initialisation, shuffles, shifts.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    resume: Annotated[
        str, typer.Option(help="auto: go on where an unfinished run in OUT stopped; never.")
    ] = "never",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start afresh in OUT.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override: optim.backstitch.scale=0.5.")
    ] = None,
) -> None:
    """Train the paper's wide ResNet; writes OUT/<iter>.pt and OUT/train.jsonl, as `train` does.

    Natural gradient, max-change, backstitch, checkpoints and resuming are those of `train`;
    `combine` makes final.pt, `classify` uses it.

    Example: chainstitch train-image conf/resnet_1a.toml --data data/train --valid data/test
    --out exp/resnet_1a_s0 --resume auto --set optim.backstitch.scale=0.5
    """
    import torch

    from chainstitch.nnet.parallel.ranks import launched
    from chainstitch.nnet.tasks.image_config import ImageConfig
    from chainstitch.nnet.tasks.image_experiment import start_image_training
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.utils import config as configs
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.lock import locked

    if resume not in ("auto", "never"):
        raise UsageError(f"--resume wants auto or never, found {resume!r}")
    if launched():
        raise UsageError("train-image trains in one process; start it without torchrun")
    if num_threads:
        torch.set_num_threads(num_threads)
    with locked(out):
        trainer = start_image_training(
            configs.load(conf, ImageConfig, set_ or ()), data, valid, out, seed,
            pick_device(device), resume == "auto", overwrite,
        )  # fmt: skip
        trainer.run()
    row = trainer.rows[-1]
    print(
        f"{out}: {row['iter'] + 1} iterations done, log-likelihood per image train "
        f"{row['train_diag_objf']:.4f} valid {row['valid_objf']:.4f}; next: "
        f"chainstitch combine {out} --method bfgs --per-component --on train"
    )
