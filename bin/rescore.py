"""`chainstitch rescore`: lattices with another language model, and what can be made of them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.bin.decode import AllTimes, Mbr, NBest, Penalties, Weights


def rescore(
    decoded: Annotated[Path, typer.Argument(help="of `decode --write-lattices`, EXP/decode_dev")],
    lang: Annotated[Path, typer.Option(help="the lang directory that it was decoded with")],
    out: Annotated[Path, typer.Option(help="the directory to write, e.g. EXP/decode_dev_big")],
    arpa: Annotated[
        Path | None, typer.Option(help="the language model, ARPA or ARPA.gz; default: no other")
    ] = None,
    lmwt: Weights = "7:17",
    wip: Penalties = "-1,-0.5,0,0.5,1",
    choice: Annotated[
        Path | None,
        typer.Option(help="choice.toml of the dev set, rescored alike: this point only"),
    ] = None,
    n_best: NBest = 0,
    all_times: AllTimes = False,
    mbr: Mbr = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="replace what is there")] = False,
) -> None:
    """Gives lattices the costs of a bigger language model and writes a decode directory of them.

    The language model of --lang is taken out and that of --arpa put in, which may be as big as
    memory (20 bytes for an n-gram, some 75 while it is read). Sweep the dev set again: another
    model wants another weight. Without --arpa the lattices stay as they are, for another sweep,
    --mbr or --n-best.

    Example:
        chainstitch rescore exp/a/decode_dev --lang data/lang --arpa big.arpa.gz --out exp/a/dev_big
    """
    from chainstitch.utils.decode.outcome import Wanted
    from chainstitch.utils.decode.rescored_sets import read_decoded, rescored, words_lm
    from chainstitch.utils.decode.sets import wanted_points, write_decode
    from chainstitch.utils.outputs import check_directory, experiment_around

    exp = experiment_around(decoded)
    check_directory(out, "decoding", overwrite, [decoded, lang, arpa, choice, exp], experiment=exp)
    points = wanted_points(lmwt, wip, choice)
    wanted = Wanted(points, mbr, n_best, all_times=all_times)
    found = read_decoded(decoded, lang)
    logging.getLogger(__name__).info(
        "rescoring %d utterances of %s at %d points", len(found.refs), decoded, len(points)
    )
    utterances = rescored(found, wanted, None if arpa is None else words_lm(arpa, found))
    write_decode(out, utterances, wanted, found.refs, found.speakers, found.seconds, overwrite)
