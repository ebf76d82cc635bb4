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

from chainstitch.nnet.layers import Affine
from chainstitch.nnet.nets.describe import describe
from chainstitch.nnet.nets.network import Network

FRAMES_PER_HOUR = 360_000  # input frames
BYTES = 4  # of a number
CHECKPOINTS = 20  # kept for combination


@dataclass(frozen=True)
class Job:
    """What is trained on: hours, copies of other speeds included, seen `epochs` times, in chunks of
    `chunk` input frames with `context` around them, `minibatch` of them at a time."""

    hours: float
    epochs: float = 4.0
    chunk: int = 150
    context: int = 40
    minibatch: int = 64


def cost(network: Network, job: Job, tflops: float) -> dict[str, float]:
    """Sums for `job` at `tflops` sustained, for people.

    Keys: flops in units of 1e15, without natural gradient and its share on top; hours without
    backstitch, with interval 4 and with interval 1; gigabytes of features as `features` writes
    them (float32), and of the checkpoints that are kept for combination.
    """
    frames = job.hours * FRAMES_PER_HOUR * job.epochs / network.subsampling
    with_context = frames * (job.chunk + job.context) / job.chunk
    forward = sum(layer["flops"] for layer in describe(network)["layers"])
    plain = 3.0 * forward * with_context
    minibatches = frames * network.subsampling / (job.chunk * job.minibatch)
    natural_gradient, numbers = 0.0, network.num_parameters()
    for node in network.nodes:
        if node.kind == "input":
            continue
        rows = with_context * network.subsampling / network.grids[node.name].step
        for layer in network.layers[node.key].modules():
            if isinstance(layer, nn.Linear):
                each, once, estimates = _natural_gradient(layer)
                numbers += estimates
                natural_gradient += rows * each + minibatches * once
    hours = (plain + natural_gradient) / (tflops * 1e12) / 3600
    return {
        "training_pflop": plain / 1e15,
        "natural_gradient_adds": natural_gradient / plain,
        f"hours_at_{tflops:g}_tflops": hours,
        "hours_with_backstitch_interval_4": hours * 1.25,
        "hours_with_backstitch_interval_1": hours * 2,
        "gigabytes_of_features": job.hours * FRAMES_PER_HOUR * network.input_dim * BYTES / 1e9,
        "gigabytes_of_checkpoints": CHECKPOINTS * numbers * BYTES / 1e9,
    }


def _natural_gradient(layer: nn.Linear) -> tuple[float, float, int]:
    """Flops for every row, and for every minibatch; numbers that the estimates have."""
    dims = (layer.in_features + (layer.bias is not None), layer.out_features)
    given = (layer.rank_in, layer.rank_out) if isinstance(layer, Affine) else (None, None)
    ranks = [
        own or min(most, (dim + 1) // 2)
        for own, most, dim in zip(given, (20, 80), dims, strict=True)
    ]
    each = sum(2.5 * r * dim + 2 * r * r for r, dim in zip(ranks, dims, strict=True))
    estimates = sum(r * dim for r, dim in zip(ranks, dims, strict=True))
    return each, 4.0 * sum(ranks) * dims[0] * dims[1], estimates
