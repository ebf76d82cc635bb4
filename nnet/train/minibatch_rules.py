"""How many examples make a minibatch, in Kaldi's notation.

    "64,32"                      64; from what is left at the end, 32
    "16:32,64"                   64; at the end, any number from 16 to 32
    "128=64:128/256=32,64"       128 of the examples whose size is nearer 128 than 256 (at the end
                                 64 to 128), 64 of those nearer 256 (at the end 32)

While there are more examples to come, only minibatches of the largest size are made. When they have
ended, the largest allowed one that can still be filled is made, again and again; examples that then
remain are left out.

With Kaldi an example is a chunk, its size the number of frames, and only chunks of the very same
shape are merged. Ours are whole utterances of any length, and a minibatch may mix lengths
(`nnet/nets/network.py`), so here all examples that fall under one rule are merged. What the rules
are good for is the same: fewer long utterances than short ones in a minibatch, so that its memory
and its share in the change of the model stay within bounds.

Source: Kaldi nnet-example-utils.cc, ExampleMergingConfig (kaldi-facts 4.4).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from chainstitch.utils.errors import UsageError

_N = "[0-9]{1,9}"
RULE = re.compile(rf"(?:({_N})=)?({_N}(?::{_N})?(?:,{_N}(?::{_N})?)*)")


class MinibatchRules:
    """Minibatch sizes by example size.

    Raises:
        UsageError: text that is not in the notation above.

    >>> MinibatchRules("4,2").merge([100] * 7)
    [[0, 1, 2, 3], [4, 5]]
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._ranges: dict[int, list[tuple[int, int]]] = {}  # by example size, in the text's order
        rules = text.split("/")
        for rule in rules:
            found = RULE.fullmatch(rule)
            if found is None or (found[1] is None and len(rules) > 1):
                raise UsageError(
                    f"minibatch_rule {text[:60]!r}: cannot read {rule[:60]!r}; wanted sizes and "
                    'ranges, as in "64,32" or "16:32,64", or such for each example size, as in '
                    '"128=64:128/256=32,64"'
                )
            example_size = int(found[1] or 0)
            if example_size in self._ranges:
                raise UsageError(f"minibatch_rule {text!r}: {example_size}= stands there twice")
            self._ranges[example_size] = [_range(part, text) for part in found[2].split(",")]

    def size(self, example_size: int, available: int, ended: bool) -> int:
        """Of how many of `available` waiting examples to make a minibatch now; 0 for none."""
        ranges = self._ranges[self._nearest(example_size)]
        if ended:
            return max((min(b, available) for a, b in ranges if a <= available), default=0)
        largest = max(b for _, b in ranges)
        return largest if available >= largest else 0

    def merge(self, example_sizes: Sequence[int]) -> list[list[int]]:
        """Minibatches of a stream of examples, as positions in it, in the order they are made."""
        waiting: dict[int, list[int]] = {}
        batches = []
        for position, example_size in enumerate(example_sizes):
            rule = self._nearest(example_size)
            group = waiting.setdefault(rule, [])
            group.append(position)
            if self.size(rule, len(group), ended=False):
                batches.append(waiting.pop(rule))
        for rule, group in waiting.items():
            while count := self.size(rule, len(group), ended=True):
                batches.append(group[:count])
                del group[:count]
        return batches

    def _nearest(self, example_size: int) -> int:
        return min(self._ranges, key=lambda size: abs(size - example_size))  # of two, the first


def _range(part: str, text: str) -> tuple[int, int]:
    first, _, last = part.partition(":")
    begin, end = int(first), int(last or first)
    if not 1 <= begin <= end:
        raise UsageError(
            f"minibatch_rule {text!r}: found {part!r}, wanted a size of 1 or more or a range that "
            "rises, as in 16:32"
        )
    return begin, end
