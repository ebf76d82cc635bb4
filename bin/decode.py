"""`chainstitch decode`: a model and a feature directory to hypotheses."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

# of `rescore`, too
Weights = Annotated[str, typer.Option(help="LM weights: a range, or a list with commas")]
Penalties = Annotated[str, typer.Option(help="word insertion penalties")]
NBest = Annotated[int, typer.Option(min=0, max=100000, help="list so many paths in OUT/nbest")]
AllTimes = Annotated[
    bool, typer.Option("--all-times", help="a ctm for each point, for `score --nist`")
]
Mbr = Annotated[
    bool, typer.Option("--mbr", help="the words of the least expected error, with confidences")
]


def decode(
    exp: Annotated[Path, typer.Argument(help="what `chainstitch train` wrote, e.g. exp/tdnn_1a")],
    data: Annotated[Path, typer.Option(help="a feature directory, e.g. data/test_hires")],
    lang: Annotated[Path, typer.Option(help="the lang directory, e.g. data/lang")],
    out: Annotated[Path, typer.Option(help="the directory to write, e.g. EXP/decode_test")],
    lmwt: Weights = "7:17",
    wip: Penalties = "-1,-0.5,0,0.5,1",
    choice: Annotated[
        Path | None,
        typer.Option(help="choice.toml of the dev set: decode at the point chosen there only"),
    ] = None,
    beam: Annotated[float, typer.Option(min=0.1, max=1000, help="of the search")] = 15.0,
    lattice_beam: Annotated[
        float, typer.Option(min=0.1, max=1000, help="of what the sweep sees")
    ] = 8.0,
    write_lattices: Annotated[
        bool,
        typer.Option("--write-lattices", help="keep them, for `chainstitch rescore` and Kaldi"),
    ] = False,
    n_best: NBest = 0,
    all_times: AllTimes = False,
    mbr: Mbr = False,
    chunk: Annotated[
        int, typer.Option(min=0, max=100000, help="input frames at a time, 140 say; 0: all at once")
    ] = 0,
    extra_left: Annotated[
        int, typer.Option(min=0, max=100000, help="input frames before a chunk, for a memory")
    ] = 0,
    extra_right: Annotated[int, typer.Option(min=0, max=100000, help="and behind it")] = 0,
    nj: Annotated[int, typer.Option(min=1, max=4096, help="how many processes search")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto; where the network runs")] = "cpu",
    decoder: Annotated[str, typer.Option(help="kaldi, or k2 where it is installed")] = "kaldi",
    part: Annotated[
        str | None, typer.Option(help="3/8: the third of eight shares, for jobs; then --merge")
    ] = None,
    merge: Annotated[
        int, typer.Option(min=0, max=100000, help="8: make OUT of eight such shares")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
) -> None:
    """Runs the network and a beam search, and writes ref, utt2spk, hyp_<lmwt>_<wip> and ctm.

    The cost of a path is graph + 10/lmwt * acoustic + wip * words. Sweep on a dev set, score it,
    and hand its choice.toml to the test sets by --choice. Kaldi decodes by chunks: --chunk 140
    --extra-left 50, and --extra-right 50 for a network with a memory in both directions.

    Example: chainstitch decode exp/a --data data/dev_hires --lang data/lang --out exp/a/decode_dev
    """
    from chainstitch.nnet.infer import outputs as networks
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.nnet.tasks.speech_data import load_leaves
    from chainstitch.utils import job_parts
    from chainstitch.utils.data.features import FRAME_SHIFT, FeatureReader
    from chainstitch.utils.data.manifests import cut_speaker, cut_text
    from chainstitch.utils.decode.archive import Facts, Kept
    from chainstitch.utils.decode.graph import digest, load_graph
    from chainstitch.utils.decode.outcome import Wanted
    from chainstitch.utils.decode.sets import (
        check_decoder,
        decode_items,
        merge_decode,
        wanted_points,
        write_decode,
    )
    from chainstitch.utils.lang.grammar import read_grammar
    from chainstitch.utils.outputs import check_directory

    inputs = [exp, data, lang, choice]
    check_directory(out, "decoding", overwrite, inputs, experiment=exp)
    points = wanted_points(lmwt, wip, choice)
    wanted = Wanted(points, mbr, n_best, write_lattices, all_times=all_times)
    check_decoder(decoder, wanted)
    pieces = networks.Pieces(chunk, extra_left, extra_right)
    reader = FeatureReader(data)
    share = job_parts.parse(part) if part else None
    if share or merge:
        job_parts.check(out, inputs, experiment=exp)
    if merge:
        merge_decode(out, merge, [cut.id for cut in reader.cuts], overwrite)
        return
    # by whole batches: what the network says must not depend on the shares
    decoded = share.of(reader.cuts, BATCH) if share else reader.cuts
    refs = {cut.id: cut_text(cut) for cut in decoded}
    speakers = {cut.id: cut_speaker(cut) for cut in decoded}
    model = networks.load_model(exp, pick_device(device))
    networks.check_features(exp, model, reader)
    ivectors = networks.ivector_reader(model, data)
    graph = load_graph(exp, lang, load_leaves(exp))
    logging.getLogger(__name__).info(
        "decoding %d utterances of %s at %d points", len(refs), data, len(points)
    )

    def items() -> Iterator[tuple[str, Any]]:
        for first in range(0, len(decoded), BATCH):
            cuts = decoded[first : first + BATCH]
            voices = [ivectors.load(cut.id) for cut in cuts] if ivectors else None
            features = [reader.load(cut) for cut in cuts]
            outputs = networks.log_likes(model, features, voices, pieces)
            yield from zip([cut.id for cut in cuts], outputs, strict=True)

    lm = read_grammar(lang / "G.fst", {w: n for n, w in graph.words.items()}) if n_best else None
    utterances = decode_items(graph, items(), wanted, beam, lattice_beam, nj, decoder, lm)
    if share:
        out, overwrite = share.directory(out), True
    seconds = FRAME_SHIFT * model.subsampling  # of an output frame
    facts = Facts(digest(lang), seconds, lattice_beam)
    kept = Kept(facts, graph.leaves) if write_lattices else None
    write_decode(out, utterances, wanted, refs, speakers, seconds, overwrite, kept)


BATCH = 16  # utterances that the network sees at a time
