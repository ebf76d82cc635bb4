"""`chainstitch combine`: the last models of a run become one, final.pt."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def combine(
    exp: Annotated[Path, typer.Argument(help="Experiment directory that `train` wrote.")],
    max_models: Annotated[
        int, typer.Option(min=1, max=10000, help="Combine at most the last N models.")
    ] = 20,
    method: Annotated[
        str, typer.Option(help="average: the best running average; bfgs: weights optimised.")
    ] = "average",
    per_component: Annotated[
        bool, typer.Option("--per-component", help="With bfgs: weights for each layer apart.")
    ] = False,
    on: Annotated[
        str, typer.Option(help="With bfgs: the examples to optimise on, valid or train.")
    ] = "valid",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, max=4096, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing final.pt.")
    ] = False,
) -> None:
    """Combine the last models of a run into EXP/final.pt.

    average tries the averages of the last 1, 2, ... models on the validation set and keeps the
    best; it ends early where five in a row are no better. bfgs (the paper's, there on training
    data: --on train) optimises a weight for each model of the run's second half on 300 utterances,
    and keeps the result if there it beats the last model and the plain average; on as many images
    as their config says. average holds one model in memory at a time; bfgs up to 15, of 4 bytes a
    parameter: 60 MB for a million parameters.

    Example: chainstitch combine exp/tdnn_1a
    """
    import torch

    from chainstitch.nnet.combine.final_model import combine_models
    from chainstitch.utils.outputs import check_file

    check_file(exp / "final.pt", None, overwrite)
    if num_threads:
        torch.set_num_threads(num_threads)
    found = combine_models(exp, device, max_models, method, per_component, on)
    if method == "average":
        scores = found["scores"]
        print(
            f"{exp}/final.pt: the last {found['combined']} of {len(scores)} models averaged, valid "
            f"objective per {found['unit']} {scores[0]:.4f} (last alone) -> {max(scores):.4f}"
        )
    else:
        _print_optimised(exp, found)


def _print_optimised(exp: Path, found: dict[str, Any]) -> None:
    won = {
        "optimised": "optimised weights", "average": "the plain average", "last": "the last alone"
    }[found["winner"]]  # fmt: skip
    print(
        f"{exp}/final.pt: {won} of {len(found['models'])} models, {found['evaluations']} "
        f"evaluations; objective per {found['unit']}:"
    )
    for part, scores in {found["on"]: found["scores"], "valid": found["valid_objfs"]}.items():
        print(
            f"  {part} {scores['last']:.4f} (last alone), {scores['average']:.4f} (plain average) "
            f"-> {scores[found['winner']]:.4f}"
        )
    print(f"  weights of {' '.join(str(n) for n in found['models'])}:")
    for component, weights in found["weights"].items():
        print(f"  {component} {' '.join(f'{w:.3f}' for w in weights)}")
