#!/usr/bin/env python3
"""What the inferred time grid saves: forward and backward of one network with and without it.

Both copies have the same weights and get the same minibatch. In each of `--runs` rounds either goes
once forward and backward, one after the other, so that whatever else the machine does falls on
both; reported is a round's time without the grid over that with it, by the clock and in seconds of
the processor. The loss is a weighted sum of all outputs. First it is checked that these agree.

    ami/conf/tdnn_lstm_1j, swbd/conf/tdnn_lstm_1e, swbd/conf/blstm_6k, tedlium/conf/tdnn_lstm_1v

Example: nice python -m tests.bench.network --recipe ami/conf/tdnn_lstm_1j --batch 8
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from torch import Tensor

from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.describe import describe
from chainstitch.utils.log import environment
from tests.recipe_xconfig import recipe_xconfig


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="ami/conf/tdnn_lstm_1j", help="below egs")
    parser.add_argument("--num-pdfs", type=int, default=3770)
    parser.add_argument("--batch", type=int, default=8, help="sequences")
    parser.add_argument("--frames", type=int, default=150, help="input frames of each")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    text = recipe_xconfig(options.recipe)
    networks = {
        name: Network(text, options.num_pdfs, infer_grid=name == "grid")
        for name in ("every frame", "grid")
    }
    for name in networks["grid"].output_names:  # which start from zero
        torch.nn.init.normal_(networks["grid"].layers[name].weight, std=0.1)
    networks["every frame"].load_state_dict(networks["grid"].state_dict())
    x = torch.randn(options.batch, options.frames, networks["grid"].input_dim)
    ivectors = torch.randn(options.batch, networks["grid"].ivector_dim)
    lengths = torch.full((options.batch,), options.frames)
    weights = torch.randn(options.batch, -(-options.frames // 3), options.num_pdfs)

    def run(network: Network) -> dict[str, Tensor]:
        network.zero_grad()
        outputs, _ = network.outputs(x, lengths, 0, ivectors)
        torch.stack([(y * weights).sum() for y in outputs.values()]).sum().backward()
        return {name: y.detach() for name, y in outputs.items()}

    network = networks["grid"]
    parameters, saved = network.num_parameters(), describe(network)["saved_by_grid"]
    print(f"{options.recipe}: {parameters} parameters, {options.batch} x {options.frames} frames")
    print(f"{environment()}")
    found = {name: run(network) for name, network in networks.items()}  # also warms up
    apart = [
        float((y - found["every frame"][name]).abs().max()) for name, y in found["grid"].items()
    ]
    print(f"largest difference of an output: {max(apart):.1e}; flops say {saved} times (forward)")
    clocks = {"clock": time.perf_counter, "processor": time.process_time}
    times: dict[tuple[str, str], list[float]] = {(n, c): [] for n in networks for c in clocks}
    for _ in range(options.runs):
        for name, network in networks.items():
            began = {clock: now() for clock, now in clocks.items()}
            run(network)
            for clock, now in clocks.items():
                times[name, clock].append(now() - began[clock])
    for clock in clocks:
        dense, grid = times["every frame", clock], times["grid", clock]
        ratios = [a / b for a, b in zip(dense, grid, strict=True)]
        for name, values, unit in (
            ("every frame", dense, " s"), ("grid", grid, " s"), ("ratio", ratios, ""),
        ):  # fmt: skip
            print(
                f"{clock:10} {name:12} min {min(values):.3f}{unit}, "
                f"median {statistics.median(values):.3f}{unit}, n = {len(values)}"
            )


if __name__ == "__main__":
    main()
