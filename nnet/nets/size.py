"""How many weights a node's layer will have, at least, before it is made.

A dimension with a zero too many would otherwise take all of the memory that there is.
"""

from __future__ import annotations

from itertools import pairwise

from chainstitch.nnet.nets.nodes import Node
from chainstitch.utils.memory import refuse_more

BYTES = 4  # of a weight
WIDTHS = ("bottleneck-dim", "big-dim", "small-dim", "dim")  # in the order that a layer has them
SQUARE = ("fixed-affine-layer", "idct-layer")


def least_weights(node: Node, dim_in: int, num_outputs: int) -> int:
    """Numbers in its matrices; not those of biases and natural gradient, which are small."""
    options = node.options
    if node.is_lstm:
        cell = int(options["cell-dim"])
        projected = sum(int(options.get(f"{n}recurrent-projection-dim", 0)) for n in ("", "non-"))
        return cell * (4 * dim_in + projected)
    if node.kind in SQUARE:
        return dim_in * dim_in
    widths = [dim_in, *(int(options[key]) for key in WIDTHS if key in options)]
    if node.kind == "output-layer" and "dim" not in options:
        widths.append(num_outputs)
    return sum(before * after for before, after in pairwise(widths))


def check_size(node: Node, dim_in: int, num_outputs: int, above: int) -> int:
    """The weights of a node and of those above it, of which there are `above`.

    Raises:
        UsageError: this machine has not the memory for them; names the layer.
    """
    own = least_weights(node, dim_in, num_outputs)
    more = f", with the {above:.3g} above," if above else ""
    what = f"{node.place}: a network of its {own:.3g} weights{more}"
    refuse_more(BYTES * (own + above), what, "give the layer smaller dimensions")
    return own + above
