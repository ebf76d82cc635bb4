#!/usr/bin/env python3
"""What a denominator forward-backward costs: seconds and memory, graph by graph.

From log-likelihoods to log Z and posteriors, float32, --frames output frames a sequence. `over mm`
is the time over that of one float32 product of two 2048 x 2048 matrices, on as many threads, in the
same round; the figures are minimum and median over --runs rounds. `memory` is how far the process
grew in the first call beyond inputs and outputs; it is kept for the next call.

    small   81 states, 3,320 arcs, 280 pdfs        big   3,001 states, 35,588 arcs, 2,023 pdfs

Graphs are den_NAME.npz under --graphs (arrays src dst pdf logw final, start, num_pdfs).

Example: python tests/bench/lfmmi.py --graphs ../shared/bench --threads 1 --batch 16,64,128
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chainstitch.nnet.chain import DenominatorGraph, forward_backward
from chainstitch.utils.log import environment


def load(path: Path) -> DenominatorGraph:
    """A graph of the form that the module's text says."""
    with np.load(path) as data:
        columns = (torch.from_numpy(data[k].astype(np.int64)) for k in ("src", "dst", "pdf"))
        prob = torch.from_numpy(np.exp(data["logw"].astype(np.float64)))
        final = torch.from_numpy(np.exp(data["final"].astype(np.float64)))
        return DenominatorGraph.from_arcs(
            *columns, prob, final, int(data["start"]), int(data["num_pdfs"])
        )


def seconds(run: Callable[[], Any]) -> float:
    """Wall-clock time of one call."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def growth(run: Callable[[], Any]) -> float:
    """Largest resident size during a call above that before it, in MB; nan where Linux is not."""
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return float("nan")

    def size(name: str) -> float:
        return float(status.read_text().split(f"{name}:")[1].split()[0]) / 1024

    before = size("VmRSS")
    clear.write_text("5")  # forget the peak so far
    run()
    return size("VmHWM") - before


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--names", default="small,big")
    parser.add_argument("--batch", default="16,64,128", help="sequences, with commas")
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--backends", default="cpu", help="cpu, reference; with commas")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    square = torch.randn(2048, 2048)
    arc = torch.tensor([0])
    tiny = DenominatorGraph.from_arcs(arc, arc, arc, torch.tensor([1.0]))
    forward_backward(tiny, torch.zeros(1, 1, 1), torch.tensor([1]))  # compiles
    print(environment())
    print(f"{'':24} seconds           over mm          memory MB")
    print(f"{'':24} min    median     min   median")
    for name in options.names.split(","):
        graph = load(options.graphs / f"den_{name}.npz")
        for batch in map(int, options.batch.split(",")):
            likes = torch.randn(batch, options.frames, graph.num_pdfs)
            lengths = torch.full((batch,), options.frames)
            for backend in options.backends.split(","):

                def run(
                    graph: DenominatorGraph = graph,
                    likes: torch.Tensor = likes,
                    lengths: torch.Tensor = lengths,
                    backend: str = backend,
                ) -> Any:
                    return forward_backward(graph, likes, lengths, backend=backend)

                megabytes = growth(run) - likes.numel() * 4 / 2**20
                times, ratios = [], []
                for _ in range(options.runs):
                    unit = seconds(lambda: square @ square)
                    times.append(seconds(run))
                    ratios.append(times[-1] / unit)
                print(
                    f"{name:6} B {batch:4} {backend:10} {min(times):.4f} "
                    f"{statistics.median(times):.4f}   {min(ratios):6.3f} "
                    f"{statistics.median(ratios):6.3f}   {max(0.0, megabytes):6.0f}"
                )


if __name__ == "__main__":
    main()
