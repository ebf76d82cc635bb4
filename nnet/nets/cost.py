"""What it would cost to train a network: flops, bytes and hours, before anything is run.

Of each output frame a layer's matrix product is done once forward and twice backward, for the
derivatives by its input and by its weights. Chunks bring frames of context along, which are
computed but not trained on. Natural gradient adds, for every row of an affine layer of ranks R_in
and R_out,

    2 (R_in in + R_out out) (1 + 1/4)      H = X W^T, and J = H^T X in one minibatch of 4
    2 (R_in^2 + R_out^2)                   L = H^T H

and 4 (R_in + R_out) in out for every minibatch, to multiply its gradient. Backstitch with interval
m does all of it 1 + 1/m times. What is left out is small beside it, in flops: the numerator and
denominator graphs, everything that works on single numbers, objectives on fixed examples.

How many flops a second a machine sustains has to be given; a processor's or a GPU's peak it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from chainstitch.nnet.nets.describe import describe
from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.optim import NaturalGradient

FRAMES_PER_HOUR = 360_000  # input frames
BYTES = 4  # of a number
CHECKPOINTS = 20  # kept for combination


@dataclass(frozen=True)
class Job:
    """What is trained on: hours, copies of other speeds included, seen `passes` times, in chunks of
    `chunk` input frames with `context` around them, `minibatch` of them at a time."""

    hours: float
    passes: float = 12.0
    chunk: int = 150
    context: int = 40
    minibatch: int = 64


def cost(network: Network, job: Job, tflops: float) -> dict[str, float]:
    """Sums for `job` at `tflops` sustained, for people.

    Keys: flops in units of 1e15, without natural gradient and its share on top; hours without
    backstitch, with interval 4 and with interval 1; gigabytes of features as `features` writes
    them (float32), and of the checkpoints that are kept for combination.
    """
    frames = job.hours * FRAMES_PER_HOUR * job.passes / network.subsampling
    with_context = frames * (job.chunk + job.context) / job.chunk
    forward = sum(layer["flops"] for layer in describe(network)["layers"])
    plain = 3.0 * forward * with_context
    minibatches = frames * network.subsampling / (job.chunk * job.minibatch)
    on_top, numbers = 0.0, network.num_parameters()
    natural_gradient = NaturalGradient(network)
    sides = {layer: natural_gradient.sides[name] for name, layer in natural_gradient.layers.items()}
    natural_gradient.remove()
    for node in network.nodes:
        if node.kind == "input":
            continue
        rows = with_context * network.subsampling / network.grids[node.name].step
        for layer in network.layers[node.key].modules():
            if isinstance(layer, nn.Linear) and layer in sides:
                dims = (layer.in_features + (layer.bias is not None), layer.out_features)
                ranks = [side.rank for side in sides[layer]]
                pairs = list(zip(ranks, dims, strict=True))
                on_top += rows * sum(2.5 * r * dim + 2 * r * r for r, dim in pairs)
                on_top += minibatches * 4 * sum(ranks) * dims[0] * dims[1]
                numbers += sum(r * dim for r, dim in pairs)
    hours = (plain + on_top) / (tflops * 1e12) / 3600
    return {
        "training_pflop": plain / 1e15,
        "natural_gradient_adds": on_top / plain,
        f"hours_at_{tflops:g}_tflops": hours,
        "hours_with_backstitch_interval_4": hours * 1.25,
        "hours_with_backstitch_interval_1": hours * 2,
        "gigabytes_of_features": job.hours * FRAMES_PER_HOUR * network.input_dim * BYTES / 1e9,
        "gigabytes_of_checkpoints": CHECKPOINTS * numbers * BYTES / 1e9,
    }
