"""The Free Spoken Digit Dataset: isolated digits, and strings of them.

3,000 recordings `recordings/<digit>_<speaker>_<index>.wav`: six speakers, ten digits, fifty of
each.

Protocols, by the index i of a recording:

| protocol            | train                  | dev                    | test                    |
|---------------------|------------------------|------------------------|-------------------------|
| `official`          | i >= 10                | 5 <= i < 10            | i < 5, the published one |
| `heldout-<speaker>` | others, i < 5 or >= 10 | others, 5 <= i < 10    | the speaker's, all 500  |

The published split has no dev set; ours comes out of its training part. No recording is in two
sets. `heldout-<speaker>+<speaker>` holds out two: the errors on one of them tell which settings
carry over to new voices, for the fold of the other one, without a look at that one's errors.

Strings join 3 to 7 recordings of one speaker, in one set, with pauses of 0 to 200 ms, as lhotse
mixed cuts: no audio is copied. The pause is digital silence, so its features are constant;
`features` leaves such frames out of the speaker means, or strings and isolated digits would be
normalised differently. The recordings are dealt like cards, from a shuffled deck that is shuffled
anew when it runs out, so all are used about equally often, and never twice in a string.

`train` holds isolated digits and strings; `dev` and `test` come as `<set>_isolated` and
`<set>_strings`.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lhotse.cut import Cut, MixedCut, MixTrack, MonoCut

from chainstitch.utils.data.manifests import cut_text, read_recording, whole_cut, write_sets
from chainstitch.utils.errors import UsageError, UserError

WORDS = ("ZERO", "ONE", "TWO", "THREE", "FOUR", "FIVE", "SIX", "SEVEN", "EIGHT", "NINE")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
PER_DIGIT = 50
PROTOCOLS = ("official", *(f"heldout-{speaker}" for speaker in SPEAKERS))
SHORTEST, LONGEST = 3, 7  # digits in a string
LONGEST_PAUSE = 0.2  # seconds
SETS = ("train", "dev", "test")

log = logging.getLogger(__name__)


def prepare(
    source: Path | str,
    out: Path | str,
    *,
    protocol: str = "official",
    seed: int = 1,
    train_strings: int | None = None,
    dev_strings: int = 50,
    test_strings: int = 100,
    overwrite: bool = False,
) -> dict[str, int]:
    """Writes `out/{train,dev_isolated,dev_strings,test_isolated,test_strings}`.

    Args:
        source: the dataset's directory, the one with `recordings/` in it (or that one itself).
        train_strings, dev_strings, test_strings: strings per speaker of the set; None: as many as
            use each recording once, so that they have about as many words as the isolated digits.

    Returns:
        the number of utterances of each set.

    Raises:
        UsageError: unknown protocol. UserError: recordings missing or unreadable.
    """
    assign = protocol_sets(protocol)
    cuts: dict[str, list[MonoCut]] = {name: [] for name in SETS}
    for path, digit, speaker, index in find_recordings(Path(source)):
        recording = read_recording(path, f"{speaker}-{digit}-{index:02d}")
        part = assign(speaker, index)
        cuts[part].append(whole_cut(recording, WORDS[digit], speaker))
    wanted = {"train": train_strings, "dev": dev_strings, "test": test_strings}
    strings = {name: make_strings(cuts[name], wanted[name], name, seed) for name in SETS}
    sets: dict[str, list[Cut]] = {"train": [*cuts["train"], *strings["train"]]}
    for name in ("dev", "test"):
        sets |= {f"{name}_isolated": [*cuts[name]], f"{name}_strings": [*strings[name]]}
    sets = {name: members for name, members in sets.items() if members}
    write_sets(out, sets, overwrite, source)
    for name, members in sets.items():
        words = sum(len(cut_text(cut).split()) for cut in members)
        log.info("%s: %d utterances, %d words", Path(out) / name, len(members), words)
    return {name: len(members) for name, members in sets.items()}


def protocol_sets(protocol: str) -> Callable[[str, int], str]:
    """The function (speaker, index) -> "train", "dev" or "test" of a protocol."""
    kind, _, names = protocol.partition("-")
    held_out = set(names.split("+")) if kind == "heldout" else set()
    if protocol != "official" and not set() < held_out < set(SPEAKERS):
        raise UsageError(
            f"unknown protocol {protocol!r} of digits; known: {', '.join(PROTOCOLS)}, and two "
            "speakers or more as heldout-theo+george"
        )

    def assign(speaker: str, index: int) -> str:
        if speaker in held_out or (not held_out and index < 5):
            return "test"
        return "dev" if 5 <= index < 10 else "train"

    return assign


def find_recordings(source: Path) -> list[tuple[Path, int, str, int]]:
    """All (path, digit, speaker, index), sorted by speaker, digit, index.

    Raises:
        UserError: recordings are missing; the first few are named.
    """
    folder = source / "recordings" if (source / "recordings").is_dir() else source
    found: dict[tuple[str, int, int], Path] = {}
    for path in folder.glob("*.wav"):
        match = re.fullmatch(r"([0-9])_([a-z]+)_([0-9]+)", path.stem)
        if match and match[2] in SPEAKERS and int(match[3]) < PER_DIGIT:
            found[match[2], int(match[1]), int(match[3])] = path
        else:
            log.warning("%s is not one of the dataset's 3,000 recordings; left out", path)
    wanted = [(s, d, i) for s in SPEAKERS for d in range(10) for i in range(PER_DIGIT)]
    missing = [f"{d}_{s}_{i}.wav" for s, d, i in wanted if (s, d, i) not in found]
    if missing:
        named = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise UserError(
            f"{folder} lacks {len(missing)} of the 3000 recordings ({named}); "
            "give the directory of free-spoken-digit-dataset, complete"
        )
    return [(found[key], key[1], key[0], key[2]) for key in wanted]


def make_strings(
    cuts: list[MonoCut], per_speaker: int | None, name: str, seed: int
) -> list[MixedCut]:
    """Strings for every speaker of `cuts`, which hold one recording each.

    Args:
        per_speaker: strings for each speaker; None: until every recording was used once (fewer
            than `SHORTEST` left at the end start no string).
        name: the set's name, part of the ids and of the random seed.
    """
    strings: list[MixedCut] = []
    for speaker in sorted({cut.supervisions[0].speaker for cut in cuts}):
        own = [cut for cut in cuts if cut.supervisions[0].speaker == speaker]
        generator = random.Random(
            f"{seed} {name} {speaker}"
        )  # a str seed does not go through hash()
        for number, hand in enumerate(_hands(own, per_speaker, generator)):
            strings.append(join(hand, f"{speaker}-{name}-string-{number:04d}", generator))
    return strings


def join(cuts: list[MonoCut], string_id: str, generator: random.Random) -> MixedCut:
    """One mixed cut: `cuts` one after the other with random pauses, whole samples each."""
    rate = cuts[0].sampling_rate
    tracks = []
    position = 0  # in samples
    for cut in cuts:
        tracks.append(MixTrack(cut, offset=round(position / rate, 8)))
        position += cut.num_samples + generator.randint(0, int(LONGEST_PAUSE * rate))
    return MixedCut(string_id, tracks)


def _hands(
    own: list[MonoCut], number: int | None, generator: random.Random
) -> Iterator[list[MonoCut]]:
    """Deals `number` hands of recordings (None: one deck), none twice in a hand."""
    deck = generator.sample(own, len(own))
    dealt = 0
    while dealt < number if number is not None else len(deck) >= SHORTEST:
        length = generator.randint(SHORTEST, min(LONGEST, len(own)))
        if number is None:
            length = min(length, len(deck))
        hand: list[MonoCut] = []
        while len(hand) < length:
            held = {cut.id for cut in hand}
            position = next((k for k, cut in enumerate(deck) if cut.id not in held), None)
            if position is None:
                deck += generator.sample(own, len(own))
            else:
                hand.append(deck.pop(position))
        dealt += 1
        yield hand
