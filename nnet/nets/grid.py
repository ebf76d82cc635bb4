"""At which times each node is computed.

With frame subsampling s the outputs are wanted at input frames 0, s, 2s, ... Going backwards, a
node is wanted at s j + o for a set of offsets o: those of its readers, moved by what they read at.

    needed(output) = {0}
    needed(source) = union over readers, over terms that read source at offset n, of needed + n

Where all o agree modulo s (all splicing above is by multiples of s), and no reader wants the node
at every frame, its rows lie s frames apart, from s*0 + first to s*(outputs - 1) + last; else one.
An LSTM also reads itself, `delay` frames away: it has rows s apart only if s divides its delay,
and then a delay of 3 frames is one row. Either way first and last are the same, and so are the
times at which a recurrence begins: the values do not depend on the step.
"""

from __future__ import annotations

from dataclasses import dataclass

from chainstitch.nnet.nets.nodes import Node
from chainstitch.utils.errors import UsageError

DELAY = -1  # of an LSTM, frames
MAX_CONTEXT = 100_000  # frames, a quarter of an hour


@dataclass(frozen=True)
class Grid:
    """Rows at s*0 + first ... s*(outputs - 1) + last input frames, every `step` frames."""

    first: int
    last: int
    step: int


def infer_grids(nodes: list[Node], subsampling: int, infer: bool = True) -> dict[str, Grid]:
    """The grid of every node, by name; of an input, the frames that are looked at.

    Args:
        infer: False gives every node rows at every frame.

    Raises:
        UsageError: a node that no other node reads, or one that is read too far away.
    """
    needed: dict[str, set[int]] = {node.name: set() for node in nodes}
    everywhere = {node.name for node in nodes if node.kind == "input" or not infer}
    grids = {}
    for node in reversed(nodes):
        offsets = needed[node.name] | ({0} if node.kind == "output-layer" else set())
        if not offsets:
            raise UsageError(f"{node.place}: no layer uses it; remove it or splice it in")
        if max(map(abs, offsets)) > MAX_CONTEXT:
            raise UsageError(
                f"{node.place}: it is wanted {max(offsets, key=abs)} frames from an output, and "
                f"{MAX_CONTEXT} is the most; lower the offsets, delays or strides of the layers "
                "that read it"
            )
        aligned = len({o % subsampling for o in offsets}) == 1 and node.name not in everywhere
        aligned &= not node.is_lstm or int(node.options.get("delay", DELAY)) % subsampling == 0
        step = subsampling if aligned else 1
        grids[node.name] = Grid(min(offsets), max(offsets), step)
        reached = range(min(offsets), max(offsets) + 1, step)
        for term in (term for part in node.parts for term in part):
            if step == 1 and not term.constant:
                everywhere.add(term.source)
            needed[term.source] |= {o + term.offset * (not term.constant) for o in reached}
    return grids
