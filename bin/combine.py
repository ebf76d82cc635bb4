"""`chainstitch combine`: average the last models of a run into final.pt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def combine(
    exp: Annotated[Path, typer.Argument(help="Experiment directory that `train` wrote.")],
    max_models: Annotated[int, typer.Option(min=1, help="Average at most the last N models.")] = 20,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing final.pt.")
    ] = False,
) -> None:
    """Try averages of the last 1, 2, ... models on the validation set; the best is EXP/final.pt.

    Example: chainstitch combine exp/tdnn_1a
    """
    import torch

    from chainstitch.nnet.experiment import combine_models
    from chainstitch.utils.files import refuse_existing

    refuse_existing(exp / "final.pt", overwrite)
    if num_threads:
        torch.set_num_threads(num_threads)
    scores = combine_models(exp, device, max_models)
    best = scores.index(max(scores)) + 1
    print(
        f"{exp}/final.pt: the last {best} of {len(scores)} models averaged, valid objective "
        f"per frame {scores[0]:.4f} (last alone) -> {max(scores):.4f}"
    )
