"""`chainstitch cleanup`: the parts of training data that say what their transcripts have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
Unknown = Annotated[
    str | None, typer.Option(help="Word for those not in the lexicon; default: its own, or <unk>.")
]
LangDirectory = Annotated[Path, typer.Option(help="The lang directory that was trained with.")]


def cleanup() -> None:
    """Find out which training utterances say what their transcripts have, and cut out what does.

    Example:
    chainstitch cleanup decode exp/tdnn_1a --data data/train_hires --lang data/lang --out exp/edits
    chainstitch cleanup cut exp/edits --data data/train --lang data/lang --out data/train_cleaned
    """


def decode(
    exp: Annotated[Path, typer.Argument(help="What `train` and `combine` wrote.")],
    data: Annotated[Path, typer.Option(help="Feature directory of the training set.")],
    lang: LangDirectory,
    out: Annotated[Path, typer.Option(help="Directory to write, exp/edits say.")],
    unknown: Unknown = None,
    beam: Annotated[float, typer.Option(min=0.1, max=1000, help="Of the search.")] = 15.0,
    lattice_beam: Annotated[
        float, typer.Option(min=0.1, max=1000, help="Of where the transcript is looked for.")
    ] = 6.0,
    nj: Annotated[int, typer.Option(min=1, max=4096, help="How many processes search.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda or auto.")] = "cpu",
    part: Annotated[str | None, typer.Option(help="3/8: the third of eight shares.")] = None,
    merge: Annotated[int, typer.Option(min=0, max=100000, help="Of so many shares.")] = 0,
    overwrite: Overwrite = False,
) -> None:
    """Decode utterances by language models of their own transcripts, into ctm edits.

    Groups of utterances of 100 words or more share a 4-gram model, in which the 100 commonest words
    of the set can be said, too. OUT/ctm_edits has the words heard beside those wanted, with times.

    Example: chainstitch cleanup decode exp/a --data data/train_hires --lang data/lang --out exp/e
    """
    from chainstitch.nnet.infer import outputs as networks
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.nnet.tasks.speech_data import load_leaves
    from chainstitch.utils import job_parts
    from chainstitch.utils.data.features import FRAME_SHIFT, FeatureReader
    from chainstitch.utils.data.manifests import cut_text
    from chainstitch.utils.decode import biased, cleaned_set
    from chainstitch.utils.decode.graph import fitting_lang
    from chainstitch.utils.outputs import check_directory

    inputs = [exp, data, lang]
    check_directory(out, biased.KIND, overwrite, inputs, experiment=exp)
    reader = FeatureReader(data)
    share = job_parts.parse(part) if part else None
    if share or merge:
        job_parts.check(out, inputs, experiment=exp)
    if merge:
        biased.merge_edits(out, merge, [cut.id for cut in reader.cuts], overwrite)
        return
    fitting_lang(exp, lang)
    words = {cut.id: cut_text(cut).split() for cut in reader.cuts}
    cuts = {cut.id: cut for cut in reader.cuts}
    groups = biased.grouped((name, len(said)) for name, said in words.items())
    groups = share.of(groups) if share else groups
    model = networks.load_model(exp, pick_device(device))
    networks.check_features(exp, model, reader)
    ivectors = networks.ivector_reader(model, data)

    def loaded() -> Iterator[list[biased.Utterance]]:
        for names in groups:
            voices = [ivectors.load(name) for name in names] if ivectors else None
            frames = [reader.load(cuts[name]) for name in names]
            outputs = networks.log_likes(model, frames, voices)
            yield [
                biased.Utterance(name, words[name], output, cuts[name].duration)
                for name, output in zip(names, outputs, strict=True)
            ]

    common = biased.common_words(words.values())
    seconds = FRAME_SHIFT * model.subsampling  # of an output frame
    stands = cleaned_set.unknown_word(lang, unknown)
    settings = (lang, load_leaves(exp), common, stands, beam, lattice_beam, seconds)
    found = biased.decode_groups(loaded(), nj, *settings)
    place = share.directory(out) if share else out
    total = sum(map(len, groups))
    lost, kinds = biased.write_edits(place, found, total, overwrite or share is not None)
    shown = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common())
    print(f"{place}: {total - lost} of {total} utterances decoded to their end; edits: {shown}")


def cut(
    edits: Annotated[Path, typer.Argument(help="What `cleanup decode` wrote, or ctm edits.")],
    data: Annotated[Path, typer.Option(help="The set that was decoded, data/train say.")],
    out: Annotated[Path, typer.Option(help="The set to write, data/train_cleaned say.")],
    lang: LangDirectory,
    unknown: Unknown = None,
    non_scored: Annotated[
        Path | None, typer.Option(help="Words that are no speech; default: of one silence phone.")
    ] = None,
    limits: Annotated[Path | None, typer.Option(help="TOML of what a segment may be.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="min_segment=0.3, say; may come repeatedly.")
    ] = None,
    end_padding: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Seconds more at each end.")
    ] = 0.02,
    overwrite: Overwrite = False,
) -> None:
    """Cut utterances into segments whose words fit, and say what was thrown away.

    Example: chainstitch cleanup cut exp/e --data data/train --lang data/lang --out data/cleaned
    """
    from chainstitch.utils.decode import cleaned_set
    from chainstitch.utils.outputs import check_directory

    check_directory(out, "set", overwrite, [edits, data, lang, non_scored, limits])
    file, allowed = cleaned_set.edits_file(edits), cleaned_set.read_limits(limits, set_ or [])
    words = cleaned_set.read_non_scored(lang, non_scored)
    stands = cleaned_set.unknown_word(lang, unknown)
    cleaned_set.check_unknown(lang, stands, allowed)
    print(
        cleaned_set.write_cleaned(
            out, data, file, words, stands, allowed, end_padding, overwrite
        )
    )  # fmt: skip


SUBCOMMANDS = {"decode": decode, "cut": cut}
