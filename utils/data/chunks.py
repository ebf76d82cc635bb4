"""Cutting utterances into chunks of a few lengths, so that minibatches have one shape.

The first of the lengths ("140,100,160", input frames) is the principal one; a split of an utterance
is any number of chunks of that length and at most two of any. A split that is longer than the
utterance overlaps, one that is shorter leaves gaps; it costs

    overlapping frames,    or    2 x frames that are left out,                                  (1)

and one split is drawn among those that cost at most twice what the best does, so that not all
utterances of a length are cut alike. Chunks stand in order of length, or, half of the time, the
other way round; gaps are spread at random before, between and behind chunks, and neighbours share
an overlap in proportion to the shorter one of them. Utterances shorter than the shortest chunk have
none. Lengths are rounded up to whole output frames, and so are the places of chunks.

Source: Kaldi nnet-example-utils.cc, UtteranceSplitter (kaldi-facts 4.8).
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

from chainstitch.utils.errors import UsageError

MAX_ALTERNATES = 2
MAX_LENGTHS, LONGEST = 20, 100_000
COST_FACTOR = 2.0


class ChunkSplitter:
    """Cuts utterances into chunks.

    Args:
        text: lengths in input frames, the principal one first: "140,100,160".
        subsampling: input frames per output frame.

    Attributes:
        lengths: in output frames, the principal one first.

    Raises:
        UsageError: text that is no such list.
    """

    def __init__(self, text: str, subsampling: int = 3) -> None:
        try:
            frames = [int(part) for part in text.split(",")]
        except ValueError:
            frames = []
        if not 1 <= len(frames) <= MAX_LENGTHS or not 1 <= min(frames) <= max(frames) <= LONGEST:
            raise UsageError(
                f"chunk widths {text[:60]!r}: wanted frames with commas, the main one first, as in "
                f'"140,100,160", at most {MAX_LENGTHS} of them and {LONGEST} frames each'
            )
        self.lengths = list(dict.fromkeys(-(-n // subsampling) for n in frames))
        self._splits: dict[int, list[tuple[int, ...]]] = {}

    def split(self, frames: int, generator: np.random.Generator) -> list[tuple[int, int]]:
        """(first, length) of the chunks of an utterance of `frames` output frames, in order."""
        splits = self._possible(frames)
        if not splits:
            return []
        chosen = sorted(splits[int(generator.integers(len(splits)))])
        if generator.random() < 0.5:
            chosen.reverse()
        spare = frames - sum(chosen)
        if spare >= 0:
            slots = generator.integers(len(chosen) + 1, size=spare)
            before = np.bincount(slots, minlength=len(chosen) + 1)
        else:
            pairs = np.minimum(chosen[:-1], chosen[1:])
            shared = np.diff(np.round(np.cumsum([0, *pairs]) / pairs.sum() * -spare).astype(int))
            before = np.array([0, *-shared])
        begins = np.cumsum(before[: len(chosen)] + [0, *chosen[:-1]])
        return [(int(begin), length) for begin, length in zip(begins, chosen, strict=True)]

    def _possible(self, frames: int) -> list[tuple[int, ...]]:
        """The splits to draw from."""
        if frames not in self._splits:
            costs = {}
            for count in range(MAX_ALTERNATES + 1):
                for others in combinations_with_replacement(self.lengths, count):
                    # just below and just above the utterance's length
                    fitting = max(0, (frames - sum(others)) // self.lengths[0])
                    for principals in (fitting, fitting + 1):
                        split = tuple(sorted(others + (self.lengths[0],) * principals))
                        if split and max(split) <= frames:
                            spare = frames - sum(split)
                            costs[split] = 2 * spare if spare > 0 else -spare  # (1)
            least = min(costs.values(), default=0)
            self._splits[frames] = [
                s for s, cost in sorted(costs.items()) if cost <= COST_FACTOR * least
            ]
        return self._splits[frames]
