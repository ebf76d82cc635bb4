#!/usr/bin/env python3
"""A part of a data directory: every so many of its utterances, or those of some speakers.

The utterances are numbered in the order of their ids, which begin with the speaker; so one in four,
from 0, has about a quarter of each speaker's, and that from 1 another quarter.

Examples: part_of_set.py data/all/train data/tune/train --every 4 --first 0
          part_of_set.py data/all/dev data/tune/valid --speakers f11,m11
          part_of_set.py data/all/dev data/tune/valid --speakers 0/2
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from lhotse.cut import Cut

from chainstitch.utils.data.manifests import cut_speaker, read_cuts, write_set
from chainstitch.utils.errors import UsageError, UserError


def part(
    cuts: list[Cut], every: int = 1, first: int = 0, speakers: str = "", having: str = ""
) -> list[Cut]:
    """Of the cuts by these speakers with `having` in their id, every so many, from `first` on.

    Raises:
        UsageError: nobody of such a name has spoken.
    """
    wanted = chosen_speakers(speakers, sorted({cut_speaker(cut) for cut in cuts}))
    kept = [cut for cut in cuts if cut_speaker(cut) in wanted and having in str(cut.id)]
    return sorted(kept, key=lambda cut: str(cut.id))[first::every]


def chosen_speakers(said: str, there: list[str]) -> set[str]:
    """Those named, separated by commas; or all (empty), or every second one from the first (0/2).

    Raises:
        UsageError: one is not there.
    """
    share = re.fullmatch(r"(\d+)/([1-9]\d*)", said)
    wanted = set(
        there[int(share[1]) :: int(share[2])] if share else said.split(",") if said else there
    )
    if not wanted or wanted - set(there):
        raise UsageError(f"--speakers {said}: wanted some of {','.join(there)}")
    return wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", type=Path, help="a data directory")
    parser.add_argument("out", type=Path, help="the one to write")
    parser.add_argument("--every", type=int, default=1, help="one of so many utterances (1)")
    parser.add_argument("--first", type=int, default=0, help="beginning with this one (0)")
    parser.add_argument("--speakers", default="", help="only theirs: names, or 0/2")
    parser.add_argument("--having", default="", help="only utterances with this in their id")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in OUT")
    options = parser.parse_args()
    if options.every < 1 or not 0 <= options.first < options.every:
        parser.error("wanted --every of at least 1, and --first from 0 to one less")
    try:
        chosen = part(
            read_cuts(options.data), options.every, options.first, options.speakers, options.having
        )
        write_set(options.out, chosen, options.overwrite, options.data)
        seconds = sum(cut.duration for cut in chosen)
        print(f"{options.out}: {len(chosen)} utterances, {seconds / 60:.1f} minutes")
    except UserError as error:
        print(f"part_of_set.py: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
