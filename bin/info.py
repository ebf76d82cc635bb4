"""`chainstitch info`: what a data, lang or experiment directory holds, what is in a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chainstitch.utils import text as texts
from chainstitch.utils.errors import UsageError
from chainstitch.utils.report import summary


def info(
    path: Annotated[
        Path,
        typer.Argument(help="data/<set>, data/lang, exp/<name>, or a network: .xconfig or .toml."),
    ],
    num_pdfs: Annotated[
        int,
        typer.Option(
            "--num-pdfs", help="Outputs of a network; a run knows its own.", min=0, max=10**9
        ),
    ] = 0,
    hours: Annotated[
        float,
        typer.Option(
            min=0, max=1e9, help="Of training data, all copies; says what training costs."
        ),
    ] = 0.0,
    passes: Annotated[
        float,
        typer.Option(
            min=0, max=1e6, help="With --hours: passes over them; 0: as a .toml says, else 12."
        ),
    ] = 0.0,
    tflops: Annotated[
        float,
        typer.Option(min=0.001, max=1e9, help="With --hours: 1e12 flops a second, sustained."),
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Sum up a data set, a lang directory, an experiment or a network in a few lines.

    Of a network: parameters, context, flops for each output frame, and of each layer the frames
    around an output's own that it is computed at, the step between them, and its share. An .xconfig
    alone is taken to have an output for every third frame; a .toml says how many it has. With
    --hours, what it costs to train it, in chunks of 150 frames with 40 of context, 64 at a time,
    and, of a .toml, in how many archives and iterations, as Kaldi counts them.

    Examples:
    chainstitch info exp/tdnn_1a
    chainstitch info egs/ami/conf/tdnn_lstm_1j.toml --num-pdfs 3770 --hours 234
    """
    is_network = path.is_file()
    found = {"path": str(path), "kind": "network"} if is_network else summary.summarise(path)
    num_pdfs = num_pdfs or _own_pdfs(path)
    if (path / "den.npz").is_file():
        from chainstitch.nnet.tasks.speech_data import load_leaves

        leaves = load_leaves(path)
        if leaves is not None:
            found["tree"] = f"{leaves.num_pdfs} leaves, context width {leaves.context_width}"
    if is_network or (num_pdfs and (path / "network.xconfig").is_file()):
        found |= _network(path, num_pdfs, hours, passes, tflops)
    if as_json:
        print(json.dumps(found))
        return
    layers = found.pop("layers", None)
    print("\n".join(summary.lines(found)))
    if layers is not None:
        from chainstitch.nnet.nets.describe import table

        print("\n".join(["", *table({"layers": layers})]))


def _network(
    path: Path, num_pdfs: int, hours: float, passes: float, tflops: float
) -> dict[str, Any]:
    from chainstitch.nnet.nets import Network
    from chainstitch.nnet.nets.cost import FRAMES_PER_HOUR, Job, cost
    from chainstitch.nnet.nets.describe import describe
    from chainstitch.nnet.tasks.speech_config import SpeechConfig
    from chainstitch.nnet.train.job_plan import counts
    from chainstitch.utils import config as configs

    config = path / "config.toml" if path.is_dir() else path
    if config.suffix not in (".toml", ".xconfig"):
        raise UsageError(f"{path}: wanted a network, a file named .xconfig or .toml")
    if config.suffix == ".toml" and config.is_file():
        given = configs.load(config, SpeechConfig)
        text, subsampling = given.network.xconfig, given.network.subsampling
    else:
        given = None
        text = texts.read(path / "network.xconfig" if path.is_dir() else path)
        subsampling = 3
    if num_pdfs < 1:
        raise UsageError(f"{path} does not say how many outputs there are; add --num-pdfs 3000")
    try:
        network = Network(text, num_pdfs, subsampling)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    found = describe(network)
    if hours and given is not None:
        training = given.training
        passes = passes or training.passes
        frames = int(hours * FRAMES_PER_HOUR)
        found |= counts(frames, training.frames_per_iteration, passes, training.jobs)
    costs = cost(network, Job(hours, passes or 12.0), tflops) if hours else {}
    return found | {name: float(f"{value:.4g}") for name, value in costs.items()}


def _own_pdfs(path: Path) -> int:
    """What the receipt of an experiment says; 0 if there is none."""
    try:
        return int(json.loads((path / "receipt.json").read_bytes())["num_pdfs"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
