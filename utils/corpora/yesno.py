"""waves_yesno, Kaldi's starter corpus: 60 files, each of eight Hebrew words `ken` (yes) or `lo`
(no).

The file name is the transcript: `0_1_1_0_1_0_0_1.wav` is NO YES YES NO ... Split as Kaldi's
recipe ends up with: the files sorted by name, the first 31 for training, the last 29 (232 words)
for test. Of the 31 the last four are `dev` here and are left out of `train`.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

from lhotse.cut import Cut

from chainstitch.utils.data.manifests import read_recording, whole_cut, write_sets
from chainstitch.utils.errors import UserError

WORDS = {"0": "NO", "1": "YES"}
SPEAKER = "global"  # one man read everything
NUM_FILES, NUM_TRAIN, NUM_DEV = 60, 31, 4

log = logging.getLogger(__name__)


def prepare(source: Path | str, out: Path | str, *, overwrite: bool = False) -> dict[str, int]:
    """Writes `out/{train,dev,test}` from the directory of the 60 wav files.

    Returns:
        the number of utterances of each set.

    Raises:
        UserError: not 60 files with names of eight 0/1, or one cannot be read.
    """
    paths = sorted(Path(source).glob("*.wav"))
    if len(paths) != NUM_FILES:
        raise UserError(
            f"{source} holds {len(paths)} wav files, wanted the {NUM_FILES} of waves_yesno; "
            "give the directory that has 0_0_0_0_1_1_1_1.wav in it"
        )
    cuts: list[Cut] = []
    for path in paths:
        if not re.fullmatch(r"[01](_[01]){7}", path.stem):
            raise UserError(f"{path}: a waves_yesno name is eight 0/1 joined by _")
        text = " ".join(WORDS[digit] for digit in path.stem.split("_"))
        cuts.append(whole_cut(read_recording(path, path.stem), text, SPEAKER))
    first_dev = NUM_TRAIN - NUM_DEV
    sets = {"train": cuts[:first_dev], "dev": cuts[first_dev:NUM_TRAIN], "test": cuts[NUM_TRAIN:]}
    write_sets(out, sets, overwrite, source)
    for name, members in sets.items():
        log.info("%s: %d utterances, %d words", Path(out) / name, len(members), 8 * len(members))
    return {name: len(members) for name, members in sets.items()}
