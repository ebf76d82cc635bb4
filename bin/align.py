"""`chainstitch align`: when each word and phone of known transcripts was said."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def align(
    exp: Annotated[Path, typer.Argument(help="Experiment directory with final.pt and den.npz.")],
    out: Annotated[Path, typer.Option(help="Directory to write, exp/ali_train say.")],
    wavs: Annotated[
        list[Path] | None,
        typer.Argument(help="Audio files, each with its words in a .txt beside it."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Feature directory, data/train_hires; or give WAVS.")
    ] = None,
    lang: Annotated[
        Path | None, typer.Option(help="Lang directory; default: the one trained with.")
    ] = None,
    textgrid: Annotated[
        bool | None,
        typer.Option(
            "--textgrid/--no-textgrid", help="A TextGrid per utterance; default: for WAVS only."
        ),
    ] = None,
    weights: Annotated[
        bool, typer.Option("--weights", help="Count the denominator's phone LM, as training does.")
    ] = False,
    acoustic_scale: Annotated[
        float,
        typer.Option(
            min=1e-3, max=1000, help="Of the outputs; matters with --weights and --lattices."
        ),
    ] = 1.0,
    shift: Annotated[
        int,
        typer.Option(
            min=-1000,
            max=1000,
            help="Move boundaries by so many input frames of 10 ms, later if > 0.",
        ),
    ] = 0,
    boost_silence: Annotated[
        float,
        typer.Option(
            min=-1000, max=1000, help="Nats to add to silence in every frame; words end earlier."
        ),
    ] = 0.0,
    lattices: Annotated[
        bool, typer.Option("--lattices", help="Also other ways to say it: lattices.gz.")
    ] = False,
    lattice_beam: Annotated[
        float,
        typer.Option(min=1e-3, max=1000, help="Nats by which those may be worse than the best."),
    ] = 10.0,
    max_dropped: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share that may have no alignment.")
    ] = 0.1,
    one_speaker: Annotated[
        bool, typer.Option("--one-speaker", help="All WAVS are one speaker: share the mean.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "cpu",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Align transcripts by the model's best path: ali.gz, ctm, phones.ctm and TextGrids.

    Utterances that cannot be aligned (too short, a word without pronunciation) are named, counted,
    listed in OUT/dropped and left out; more than --max-dropped of them is an error. The search
    takes seconds for an hour of speech, so it has no --nj.

    Phone durations are whole numbers of the model's output frames (30 ms, if every third frame has
    an output), and models differ in where they put a boundary: --shift and --boost-silence mend
    what is common to all. Choose them on a dev set, with `chainstitch score-ali`; without them
    ali.gz says what the model itself says.

    --lattices is for `chainstitch train --ali-lattice`: pronunciations and silences that the model
    finds nearly as likely as the best, each way to say the words once, with its own times.

    A model that takes i-vectors finds those of --data in its ivectors.h5 (`chainstitch ivectors
    extract`); those of WAVS are made by the extractor that `train` put in EXP.

    Examples:
        chainstitch align exp/tdnn_1a --data data/train_hires --lang data/lang --out exp/ali_train
        chainstitch align exp/tdnn_1a hello.wav goodbye.wav --out exp/ali_mine
    """
    from chainstitch.nnet import infer
    from chainstitch.nnet.infer import force_align
    from chainstitch.nnet.infer.aligner import load_aligner
    from chainstitch.nnet.tasks.run import inputs_of
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.utils.data.alignment_directory import (
        fill_alignment_directory,
        lattices_into,
    )
    from chainstitch.utils.data.features import FeatureReader
    from chainstitch.utils.errors import UsageError
    from chainstitch.utils.files import atomic_directory
    from chainstitch.utils.lang.directory import read_lang
    from chainstitch.utils.outputs import check_directory

    check_directory(out, "alignment", overwrite, [exp, data, lang, *(wavs or [])], experiment=exp)
    if (data is None) == (not wavs):
        raise UsageError("wanted either --data or audio files to align; see --help")
    model = infer.load_model(exp, pick_device(device))
    language = read_lang(lang or inputs_of(exp).lang)
    aligner = load_aligner(
        exp, model, language, weights, acoustic_scale, shift, boost_silence,
        lattice_beam if lattices else 0.0,
    )  # fmt: skip
    if data is not None:
        reader = FeatureReader(data)
        infer.check_features(exp, model, reader)
        ivectors = infer.ivector_reader(model, data)
        items, total = force_align.set_items(reader, ivectors), len(reader.cuts)
    else:
        files = force_align.file_items(exp, model, wavs or [], one_speaker)
        items, total = iter(files), len(files)
    grids = data is None if textgrid is None else textgrid
    with atomic_directory(out, "alignment", overwrite) as directory:
        with lattices_into(directory, language.phones, lattices) as keep:
            done = force_align.align_items(model, aligner, items, total, max_dropped, keep)
        fill_alignment_directory(directory, done.aligned, language.phones, done.dropped, grids)
    print(f"{out}: {done.summary()}")
