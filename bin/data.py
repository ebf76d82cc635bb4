"""`chainstitch data`: sets made of sets. Each operation is a file of utils/data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from chainstitch.utils.errors import UsageError

Set = Annotated[Path, typer.Argument(help="A set directory that `prepare` wrote.")]
Out = Annotated[Path, typer.Option(help="The set directory to write.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an existing one.")]


def data() -> None:
    """Make sets of sets: subsets, copies, merged, cut or joined ones. No audio is copied.

    The operations go through a set line by line, whatever its length.

    Examples:
    chainstitch data subset data/train --out data/train_short --count 10000 --how shortest
    chainstitch data split-speakers data/train --out data/train_30s --seconds 30
    """


def subset(
    data: Set,
    out: Out,
    count: Annotated[
        int, typer.Option(min=0, max=10**9, help="Utterances; with per-speaker, of each.")
    ] = 0,
    how: Annotated[
        Literal["even", "first", "last", "rest", "shortest", "speakers", "per-speaker"],
        typer.Option(
            help="Spread evenly over the order of ids; the first, last, all but the first, or "
            "shortest; whole speakers until there are so many; or so many of each speaker."
        ),
    ] = "even",
    ids: Annotated[
        Path | None,
        typer.Option(help="In place of a count: a file of ids, one a line, or a set with them."),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Which speakers are taken first.")
    ] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Some of a set's utterances.

    Examples:
    chainstitch data subset data/train --out data/train_15k --count 15000
    chainstitch data subset data/train --out data/train_dev --ids data/dev_ids
    """
    from chainstitch.utils.data import subset as sets

    if (count > 0) == (ids is not None):
        raise UsageError("give either --count, above 0, or --ids")
    if ids is not None and not ids.exists():
        raise UsageError(f"--ids {ids} does not exist; give a file of ids, or a set")
    if ids is None:
        found = sets.subset(data, out, count, how, seed, overwrite)
    else:
        found = sets.listed(data, out, ids, overwrite)
    print(f"{out}: {found} utterances")


def remove_duplicates(
    data: Set,
    out: Out,
    most: Annotated[
        int, typer.Option("--max", min=1, max=10**9, help="About so many of each text stay.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Keep about N of the utterances that have the same words, as Kaldi does for Switchboard.

    Example: chainstitch data remove-duplicates data/train --out data/train_nodup --max 300
    """
    from chainstitch.utils.data import duplicates

    before, found = duplicates.remove_duplicates(data, out, most, overwrite)
    print(f"{out}: {found} of {before} utterances")


def combine_short(
    data: Set,
    out: Out,
    least: Annotated[
        float, typer.Option("--min", min=0.01, max=3600, help="Seconds that each has at least.")
    ] = 1.55,
    overwrite: Overwrite = False,
) -> None:
    """Join utterances that are too short with their neighbours, of the same speaker if possible.

    Example: chainstitch data combine-short data/train --out data/train_comb --min 1.55
    """
    from chainstitch.utils.data import short_utterances

    before, found = short_utterances.combine_short(data, out, least, overwrite)
    print(f"{out}: {found} utterances of {before}")


def split_speakers(
    data: Set,
    out: Out,
    seconds: Annotated[
        float, typer.Option(min=0.01, max=1e9, help="Of speech a pseudo-speaker has at most.")
    ],
    overwrite: Overwrite = False,
) -> None:
    """Cut speakers into pseudo-speakers, so that means and i-vectors are of short stretches.

    Example: chainstitch data split-speakers data/train --out data/train_30s --seconds 30
    """
    from chainstitch.utils.data import pseudo_speakers

    count, before, after = pseudo_speakers.split_speakers(data, out, seconds, overwrite)
    print(f"{out}: {count} utterances, {after} speakers of {before}")


def extend(
    data: Set,
    out: Out,
    start: Annotated[float, typer.Option(min=0, max=60, help="Seconds earlier.")] = 0.1,
    end: Annotated[float, typer.Option(min=0, max=60, help="Seconds later.")] = 0.1,
    last: Annotated[
        float, typer.Option(min=0, max=60, help="At most so late after a recording's last.")
    ] = 0.1,
    overwrite: Overwrite = False,
) -> None:
    """Make segments longer on both sides; where two overlap they meet in the middle.

    Example: chainstitch data extend data/train --out data/train_pad --start 0.15 --end 0.1
    """
    from chainstitch.utils.data import segment_times

    done = segment_times.extend_set(data, out, start, end, last, overwrite)
    print(f"{out}: {done.segments} utterances, {done.overlaps} overlaps, {done.left_out} left out")


def merge(
    data: Annotated[list[Path], typer.Argument(help="Set directories.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """All utterances of several sets; no two may have the same id.

    Example: chainstitch data merge data/train_a data/train_b --out data/train
    """
    from chainstitch.utils.data import merged

    print(f"{out}: {merged.merge_sets(data, out, overwrite)} utterances")


def parallel(
    data: Set,
    audio: Annotated[Path, typer.Argument(help="The same utterances by another microphone.")],
    out: Out,
    overwrite: Overwrite = False,
) -> None:
    """Utterances with the audio of another microphone, as AMI's distant ones are aligned.

    Example: chainstitch data parallel data/sdm1/train data/ihm/train --out data/sdm1/train_ihmdata
    """
    from chainstitch.utils.data import parallel as sets

    done = sets.parallel_set(data, audio, out, overwrite)
    print(f"{out}: {done.utterances} utterances, {done.left_out} left out")


def copy(
    data: Set,
    out: Out,
    utterance_prefix: Annotated[str, typer.Option(help="Before ids of utterances.")] = "",
    speaker_prefix: Annotated[str, typer.Option(help="Before speakers.")] = "",
    recording_prefix: Annotated[str, typer.Option(help="Before ids of recordings.")] = "",
    overwrite: Overwrite = False,
) -> None:
    """A copy with prefixes before its ids; in the order of ids, if it was not before.

    Example: chainstitch data copy data/a --out data/b --utterance-prefix b- --speaker-prefix b-
    """
    from chainstitch.utils.data import renamed

    prefixes = (utterance_prefix, speaker_prefix, recording_prefix)
    print(f"{out}: {renamed.copy_set(data, out, *prefixes, overwrite)} utterances")


def to_kaldi(
    data: Set,
    out: Annotated[Path, typer.Option(help="The Kaldi data directory to write.")],
    overwrite: Overwrite = False,
) -> None:
    """A Kaldi data directory of a set; `chainstitch prepare kaldi` is the way back.

    Example: chainstitch data to-kaldi data/train --out kaldi/train
    """
    from chainstitch.utils.corpora import kaldi_export

    print(f"{out}: {kaldi_export.export(data, out, overwrite=overwrite)} utterances")


SUBCOMMANDS = {
    "subset": subset,
    "remove-duplicates": remove_duplicates,
    "combine-short": combine_short,
    "split-speakers": split_speakers,
    "extend": extend,
    "merge": merge,
    "parallel": parallel,
    "copy": copy,
    "to-kaldi": to_kaldi,
}
KIND = "operation"  # what a subcommand is called in messages
