"""`chainstitch train`: train a network by natural gradient, max-change and backstitch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

SPEECH = "Options of task speech"


def _print_config(wanted: bool) -> None:
    if not wanted:
        return
    from chainstitch.nnet.tasks.run import TASKS, task_called
    from chainstitch.utils import config as configs

    for name in TASKS:
        print(f"# A config of task {name}; a key that is left out has the value shown.\n")
        print(configs.explain(task_called(name, "--help-config").Config))
    raise typer.Exit


def train(
    context: typer.Context,
    conf: Annotated[Path, typer.Argument(help="TOML file: task, network, optim, training ...")],
    data: Annotated[Path | None, typer.Option(help="What to train on: features, images.")] = None,
    valid: Annotated[Path | None, typer.Option(help="What to validate on.")] = None,
    out: Annotated[Path | None, typer.Option(help="Experiment directory to write.")] = None,
    lang: Annotated[
        Path | None, typer.Option(help="Lang directory.", rich_help_panel=SPEECH)
    ] = None,
    den: Annotated[
        Path | None,
        typer.Option(help="Denominator graph that `den-graph` wrote.", rich_help_panel=SPEECH),
    ] = None,
    ali: Annotated[
        Path | None,
        typer.Option(
            help="Alignments of DATA, as `align` writes them; may be left out.",
            rich_help_panel=SPEECH,
        ),
    ] = None,
    valid_ali: Annotated[
        Path | None,
        typer.Option(
            help="Alignments of VALID; default: ALI has them, too.", rich_help_panel=SPEECH
        ),
    ] = None,
    ali_lattice: Annotated[
        Path | None,
        typer.Option(
            help="In place of ALI: with lattices of other ways to say it, of `align --lattices`.",
            rich_help_panel=SPEECH,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Of initialisation, shuffles, dropout.")
    ] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, max=4096, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    nj: Annotated[
        int,
        typer.Option(min=0, max=4096, help="Processes that make numerators; 0: one for each core."),
    ] = 0,
    processes: Annotated[
        int,
        typer.Option(
            min=1, max=4096, help="Processes, one for each GPU, that share every minibatch."
        ),
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
    help_config: Annotated[
        bool,
        typer.Option(
            "--help-config",
            is_eager=True,
            callback=_print_config,
            help="List what CONF may say, with defaults.",
        ),
    ] = False,
) -> None:
    """Train what CONF says; writes OUT/<iter>.pt and OUT/train.jsonl; `combine` makes final.pt.

    The first line of CONF names the task, as in task = "speech" or task = "images".

    --processes 4 is for a machine with 4 GPUs; torchrun does the same, also on several machines:
    torchrun --nproc-per-node 4 -m chainstitch.bin.main train ...

    Examples:
    chainstitch train conf/tdnn_1a.toml --data data/train_hires --valid data/dev_hires
      --lang data/lang --den exp/den.npz --out exp/tdnn_1a --resume auto
    chainstitch train conf/resnet_1a.toml --data data/train --valid data/test
      --out exp/resnet_1a --set optim.backstitch.scale=0.5
    """
    import logging
    import shlex
    import sys
    from contextlib import nullcontext

    from chainstitch.nnet.parallel.ranks import launched, launched_ranks, local_device
    from chainstitch.nnet.tasks import run
    from chainstitch.nnet.tasks.run_directory import check_new_or_same
    from chainstitch.nnet.train.averaged_jobs import AveragedJobs
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.lock import locked

    if resume not in ("auto", "never"):
        raise UsageError(f"--resume wants auto or never, found {resume!r}")
    overrides = [*(set_ or ()), *([f"training.precision={precision}"] if precision else ())]
    config = run.load_config(conf, overrides)
    given = {"data": data, "valid": valid, "lang": lang, "den": den}
    given |= {"ali": ali, "valid_ali": valid_ali, "ali_lattice": ali_lattice}
    inputs = run.make_inputs(config.task, seed, given)
    if out is None:
        raise UsageError("--out is missing; name the experiment directory to write")

    def check_out() -> None:
        check_new_or_same(out, config, inputs, resume == "auto", overwrite, [conf])

    if processes > 1 and not launched():
        check_out()
        from chainstitch.nnet.parallel.launcher import launch

        launch(context.obj, processes)
        return
    with launched_ranks() as ranks:
        if ranks.rank:
            logging.disable(logging.INFO)  # all processes would say the same
        else:
            check_out()  # before there is a lock
        with nullcontext() if ranks.rank else locked(out):
            trainer = run.begin(
                config, inputs, out, local_device(device), num_threads,
                resume == "auto", overwrite,
                AveragedJobs(
                    out, shlex.split(jobs_cmd), [sys.executable, "-m", "chainstitch.bin.main"],
                    options=["--device", device, "--num-threads", str(num_threads)],
                ),
                ranks, nj,
            )  # fmt: skip
            trainer.run()
        if ranks.rank:
            return
    print(_summary(out, trainer.rows[-1]))


def _summary(out: Path, row: dict[str, Any]) -> str:
    return (
        f"{out}: {row['iter'] + 1} iterations done, objective per {row['unit']} train "
        f"{row['train_diag_objf']:.4f} valid {row['valid_objf']:.4f}; next: "
        f"chainstitch combine {out}"
    )
