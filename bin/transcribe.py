"""`chainstitch transcribe`: words for wav files of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def transcribe(
    model: Annotated[Path, typer.Argument(help="Experiment directory with final.pt.")],
    wavs: Annotated[list[Path], typer.Argument(help="Audio files, one channel.")],
    lang: Annotated[
        Path | None, typer.Option(help="Lang directory; default: the one trained with.")
    ] = None,
    choice: Annotated[
        Path | None, typer.Option(help="choice.toml of a dev set; default: lmwt 10, wip 0.")
    ] = None,
    one_speaker: Annotated[
        bool, typer.Option("--one-speaker", help="All files are one speaker: share the mean.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Print one line for each file, its path and the words recognised, as soon as they are known.

    Each file counts as a speaker of its own when means are subtracted, unless --one-speaker. The
    i-vectors of a model that takes any are made by the extractor that `train` put in its directory.

    Example: chainstitch transcribe exp/tdnn_1a_s0 hello.wav goodbye.wav
    """
    from chainstitch.nnet import infer
    from chainstitch.nnet.tasks.run import inputs_of
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.nnet.tasks.speech_data import load_leaves
    from chainstitch.utils.decode.graph import load_graph
    from chainstitch.utils.decode.lattice import LatticeDecoder
    from chainstitch.utils.score.sweep import read_choice

    network = infer.load_model(model, pick_device(device))
    inputs = inputs_of(model)
    point = (10.0, 0.0)
    if choice is not None:
        chosen = read_choice(choice)
        point = (chosen.lmwt, chosen.wip)
    graph = load_graph(model, lang or Path(inputs.lang), load_leaves(model))
    decoder = LatticeDecoder(graph)
    files = iter(wavs)
    for features, ivectors in infer.wav_inputs(model, network, wavs, one_speaker):
        for outputs in infer.iterate_log_likes(network, features, ivectors):
            wav = next(files)
            lattice = decoder.decode(outputs, str(wav))
            print(wav, *decoder.best_path(lattice, *point).words, flush=True)
