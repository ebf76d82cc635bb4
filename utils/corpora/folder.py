"""A folder of one's own: `X.wav` with its transcript in `X.txt`, at any depth.

The speaker of a file is the name of the first folder below the source; files that lie flat are
each a speaker of their own. With `split` the utterances are dealt into sets, whole speakers at a
time if every held-out set gets at least one, by utterance otherwise. The same files and seed give
the same split.
"""

from __future__ import annotations

import logging
import random
from pathlib import Path

from lhotse.cut import Cut

from chainstitch.utils import text as texts
from chainstitch.utils.corpora.kaldi_dir import read_recordings
from chainstitch.utils.data.manifests import cut_speaker, whole_cut, write_set, write_sets
from chainstitch.utils.errors import UsageError, UserError

log = logging.getLogger(__name__)


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    split: str = "",
    seed: int = 1,
    skip_broken: bool = False,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes the set `out`, or with `split` ("dev=0.1,test=0.1") the sets `out/{train,dev,test}`.

    A wav without a txt is kept with an empty transcript, for `validate` to name.

    Raises:
        UsageError: a malformed split. UserError: no wav, two with one id, or some unreadable.
    """
    source = Path(source)
    fractions = parse_split(split)
    found = sorted(path for path in source.rglob("*") if path.suffix.lower() == ".wav")
    if not found:
        raise UserError(f"{source} holds no .wav files; give the folder with X.wav and X.txt pairs")
    paths: dict[str, Path] = {}
    for path in found:
        key = "-".join(path.relative_to(source).with_suffix("").parts).replace(" ", "_")
        if key in paths:
            raise UserError(f"{path} and {paths[key]} both get the id {key}; rename one")
        paths[key] = path
    cuts: list[Cut] = []
    for key, recording in read_recordings(paths, skip_broken):
        parts = paths[key].relative_to(source).parts
        speaker = parts[0].replace(" ", "_") if len(parts) > 1 else key
        cuts.append(whole_cut(recording, _transcript(paths[key].with_suffix(".txt")), speaker))
    if not fractions:
        write_set(out, cuts, overwrite, source)
        log.info("%s: %d utterances from %s", out, len(cuts), source)
        return {Path(out).name: len(cuts)}
    sets = split_cuts(cuts, fractions, seed)
    write_sets(out, sets, overwrite, source)
    for name, members in sets.items():
        log.info("%s: %d utterances", Path(out) / name, len(members))
    return {name: len(members) for name, members in sets.items()}


def parse_split(text: str) -> dict[str, float]:
    """ "dev=0.1,test=0.1" as a dict; empty for an empty text."""
    fractions: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.strip().partition("=")
        try:
            fractions[name] = float(value)
        except ValueError:
            raise UsageError(
                f"--split {text!r}: wanted name=fraction, e.g. dev=0.1,test=0.1"
            ) from None
        if name in ("", "train", ".", "..") or "/" in name or not 0 < fractions[name] < 1:
            raise UsageError(
                f"--split {text!r}: {part!r}: wanted a set other than train and 0 < fraction < 1"
            )
    if sum(fractions.values()) >= 1:
        raise UsageError(f"--split {text!r} leaves nothing to train on; wanted a sum below 1")
    return fractions


def split_cuts(cuts: list[Cut], fractions: dict[str, float], seed: int) -> dict[str, list[Cut]]:
    """Deals cuts into the named sets and `train`, by speaker when int(fraction x speakers) >= 1."""
    speakers = sorted({cut_speaker(cut) for cut in cuts})
    by_speaker = all(int(f * len(speakers) + 1e-9) >= 1 for f in fractions.values())
    nobody_twice = len(speakers) == len(cuts)  # no speakers are known
    by_speaker = by_speaker and not nobody_twice
    units = speakers if by_speaker else sorted(str(cut.id) for cut in cuts)
    if by_speaker:
        log.info("split by speaker: %d speakers, %d utterances", len(speakers), len(cuts))
    elif nobody_twice:
        log.warning(
            "split by utterance: each is taken for a speaker of its own, so one voice may be in "
            "two sets; put each speaker's files into a folder of the speaker's name to keep apart"
        )
    else:
        log.warning(
            "split by utterance: %d speakers are too few to hold whole ones out", len(speakers)
        )
    random.Random(f"{seed} split").shuffle(units)
    owner: dict[str, str] = {}
    for name, fraction in fractions.items():
        number = max(1, int(fraction * len(units) + 1e-9))
        for unit in [unit for unit in units if unit not in owner][:number]:
            owner[unit] = name
    sets: dict[str, list[Cut]] = {name: [] for name in ("train", *fractions)}
    for cut in cuts:
        unit = cut_speaker(cut) if by_speaker else str(cut.id)
        sets[owner.get(unit, "train")].append(cut)
    return sets


def _transcript(path: Path) -> str:
    if not path.is_file():
        log.warning("%s is missing: the utterance has an empty transcript", path)
        return ""
    return " ".join(texts.read(path).split())
