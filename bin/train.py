"""`chainstitch train`: train a network with LF-MMI, natural gradient, max-change and backstitch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def train(
    context: typer.Context,
    conf: Annotated[Path, typer.Argument(help="TOML file: network, chain, optim, training.")],
    data: Annotated[Path, typer.Option(help="Feature directory to train on.")],
    valid: Annotated[Path, typer.Option(help="Feature directory to validate on.")],
    lang: Annotated[Path, typer.Option(help="Lang directory.")],
    den: Annotated[Path, typer.Option(help="Denominator graph that `den-graph` wrote.")],
    out: Annotated[Path, typer.Option(help="Experiment directory to write.")],
    ali: Annotated[
        Path | None, typer.Option(help="Alignments of DATA, as `align` writes them.")
    ] = None,
    valid_ali: Annotated[
        Path | None, typer.Option(help="Alignments of VALID; default: ALI has them, too.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of initialisation, shuffles, dropout.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    processes: Annotated[
        int, typer.Option(min=1, help="Processes, one for each GPU, that share every minibatch.")
    ] = 1,
    precision: Annotated[
        str, typer.Option(help="float32, bf16, or auto: bf16 on a GPU. Default: CONF's.")
    ] = "",
    resume: Annotated[
        str, typer.Option(help="auto: go on where an unfinished run in OUT stopped; never.")
    ] = "never",
    jobs_cmd: Annotated[
        str, typer.Option(help="Starts parallel jobs (training.jobs_initial and jobs_final).")
    ] = "chainstitch run",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start afresh in OUT.")] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Override: optim.backstitch.scale=1.0.")
    ] = None,
) -> None:
    """Train; writes OUT/<iter>.pt each iteration and OUT/train.jsonl; `combine` makes final.pt.

    --processes 4 is for a machine with 4 GPUs; torchrun does the same, also on several machines:
    torchrun --nproc-per-node 4 -m chainstitch.bin.main train ...

    Example: chainstitch train conf/tdnn_1a.toml --data data/train_hires --valid data/dev_hires
    --lang data/lang --den exp/den.npz --out exp/tdnn_1a --resume auto
    --set optim.backstitch.scale=1.0
    """
    import logging
    import shlex
    import sys
    from contextlib import nullcontext

    from chainstitch.nnet.parallel.ranks import launched, launched_ranks, local_device
    from chainstitch.nnet.tasks.experiment import start_training
    from chainstitch.nnet.tasks.speech_config import TrainConfig
    from chainstitch.nnet.train.averaged_jobs import ParallelJobs
    from chainstitch.utils import config as configs
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.lock import locked

    if resume not in ("auto", "never"):
        raise UsageError(f"--resume wants auto or never, found {resume!r}")
    if processes > 1 and not launched():
        from chainstitch.nnet.parallel.launcher import launch

        launch(context.obj, processes)
        return
    overrides = [*(set_ or ()), *([f"training.precision={precision}"] if precision else ())]
    with launched_ranks() as ranks:
        if ranks.rank:
            logging.disable(logging.INFO)  # the first says it all
        with nullcontext() if ranks.rank else locked(out):
            trainer = start_training(
                configs.load(conf, TrainConfig, overrides),
                data, valid, lang, den, out, ali, valid_ali,
                seed=seed, device=local_device(device), num_threads=num_threads,
                resume=resume == "auto", overwrite=overwrite,
                parallel=ParallelJobs(
                    out, shlex.split(jobs_cmd), [sys.executable, "-m", "chainstitch.bin.main"],
                    options=["--device", device, "--num-threads", str(num_threads)],
                ),
                ranks=ranks,
            )  # fmt: skip
            trainer.run()
        if ranks.rank:
            return
    row = trainer.rows[-1]
    print(
        f"{out}: {row['iter'] + 1} iterations done, objective per frame train "
        f"{row['train_diag_objf']:.4f} valid {row['valid_objf']:.4f}; next: "
        f"chainstitch combine {out}"
    )
