#!/usr/bin/env python3
"""What LF-MMI's forward-backward costs: seconds and memory, back end by back end.

From log-likelihoods to log Z and posteriors, float32, leaky 0.1. In each of --runs rounds, for each
number of threads, the product of two 2048 x 2048 float32 matrices is timed and then every back end,
so that whatever else the machine does falls on all of them. Reported are minimum and median over
the rounds of the seconds, of the ratio to that product (`over mm`) and to the first back end, and
the median of how much faster than with the first number of threads it was. `memory` is how far the
process grew in a call beyond inputs and outputs.

    small   81 states, 3,320 arcs, 280 pdfs        big   3,001 states, 35,588 arcs, 2,023 pdfs

Graphs are den_NAME.npz under --graphs (arrays src dst pdf logw final, start, num_pdfs). The line
`numerators` is no back end: it is the other half of LF-MMI, on num_NAME.npz, linear graphs of 12 to
24 phones (the same arrays of all graphs behind one another, state_off, arc_off).

--backends: those of `forward_backward`, and `pychain`, which wants `pychain_C` of
github.com/YiwenShaoStephen/pychain to be importable. k2 has no leak: where it runs, `cpu leaky 0`
stands beside `k2 leaky 0`. What cannot run is passed over, and said.

--device cuda was not run yet. Inputs are on the GPU then, times are CUDA events', memory is that of
torch's allocator, and `floor` the bytes that memory has to carry: G of forward_backward.py written
and read once, log-likelihoods read twice, posteriors written once; arcs come from the cache.

Example: python tests/bench/lfmmi.py --graphs ../shared/bench --threads 1,2 --frames 50,150
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.chain import (
    DenominatorGraph,
    NumeratorBatch,
    NumeratorGraph,
    cpu,
    forward_backward,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.backends import BACKENDS
from chainstitch.utils.log import environment

LEAKY = 0.1
Run = Callable[[Tensor, Tensor], Any]  # of log-likelihoods and lengths


class Absent(Exception):
    """A back end that cannot run here, and why."""


def load(path: Path) -> DenominatorGraph:
    """A graph of the form that the module's text says."""
    with np.load(path) as data:
        columns = (torch.from_numpy(data[k].astype(np.int64)) for k in ("src", "dst", "pdf"))
        prob = torch.from_numpy(np.exp(data["logw"].astype(np.float64)))
        final = torch.from_numpy(np.exp(data["final"].astype(np.float64)))
        return DenominatorGraph.from_arcs(
            *columns, prob, final, int(data["start"]), int(data["num_pdfs"])
        )


def back_ends(name: str, graph: DenominatorGraph) -> dict[str, Run]:
    """What is timed for a name of --backends.

    Raises:
        Absent: it cannot run here.
    """
    if name == "pychain":
        return {name: pychain(graph)}
    if name not in BACKENDS:
        raise Absent(f"forward_backward has {', '.join(BACKENDS)}")
    if name == "k2":
        if find_spec("k2") is None:
            raise Absent("no module k2")
        return {
            f"{one} leaky 0": partial(forward_backward, graph, leaky=0.0, backend=one)
            for one in ("cpu", "k2")
        }
    return {name: partial(forward_backward, graph, leaky=LEAKY, backend=name)}


def numerators(path: Path) -> Run:
    """Numerators of a file of the form that the module's text says, over and over."""
    with np.load(path) as data:
        arcs, states = data["arc_off"], data["state_off"]
        graphs = []
        for i in range(len(arcs) - 1):
            part = slice(arcs[i], arcs[i + 1])
            src, dst, pdf = (data[name][part].astype(np.int32) for name in ("src", "dst", "pdf"))
            final = np.isfinite(data["final"][states[i] : states[i + 1]])
            weights = data["logw"][part].astype(np.float64)
            graphs.append(NumeratorGraph(src, dst, pdf, weights, final))

    def run(likes: Tensor, lengths: Tensor) -> Any:
        batch = [graphs[i % len(graphs)] for i in range(len(lengths))]
        return numerator_forward_backward(NumeratorBatch(batch), likes, lengths)

    return run


def pychain(graph: DenominatorGraph) -> Run:
    """PyChain's denominator. Its log Z is one number for the batch; it wants lengths sorted."""
    try:
        import pychain_C
    except ImportError as error:
        raise Absent(str(error)) from None

    def arcs(key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(src, dst, pdf) of the arcs by state `key`, first and last of each state, probability."""
        order = torch.argsort(key, stable=True)
        ends = torch.cumsum(torch.bincount(key, minlength=graph.num_states), 0)
        begins = ends - torch.bincount(key, minlength=graph.num_states)
        rows = torch.stack([graph.src, graph.dst, graph.pdf], 1)[order]
        return rows.int(), torch.stack([begins, ends], 1).int(), graph.prob[order].float()

    initial = graph.initial.float()
    one = [*arcs(graph.src), *arcs(graph.dst), initial, initial, torch.ones_like(initial)]

    def run(likes: Tensor, lengths: Tensor) -> Any:
        many = [t.expand(len(likes), *t.shape).contiguous() for t in one]
        start = torch.full((len(likes),), graph.start)
        frames = torch.arange(likes.shape[1])
        alive = (lengths[None, :] > frames[:, None]).sum(1)  # sequences at each frame
        x = likes.clamp(-30, 30).exp()  # as its own loss does
        log_z, posteriors, fine = pychain_C.forward_backward(
            *many, start, x, alive, lengths, graph.num_states, LEAKY
        )
        if not fine:
            raise ValueError("pychain: its own check failed")
        return log_z, posteriors

    return run


def seconds(run: Callable[[], Any], device: str) -> float:
    """Wall-clock time of one call."""
    if device == "cuda":
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return begin.elapsed_time(end) / 1000
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def growth(run: Callable[[], Any], device: str) -> float:
    """The most memory in use during a call above that before it, in MB; nan where Linux is not."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        allocated = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - allocated) / 2**20
    status, clear = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not clear.exists():
        return float("nan")

    def size(name: str) -> float:
        return float(status.read_text().split(f"{name}:")[1].split()[0]) / 1024

    # what an earlier call has left for this one would count as nothing
    cpu._workspaces.clear()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
    before = size("VmRSS")
    clear.write_text("5")  # forget the peak so far
    run()
    return size("VmHWM") - before


def floor(graph: DenominatorGraph, batch: int, frames: int) -> float:
    """Bytes to and from a GPU's memory: see the module's text."""
    return 4.0 * batch * frames * (2 * len(graph.groups["group_pdf"]) + 3 * graph.num_pdfs)


def summary(values: list[float], form: str) -> str:
    return f"{format(min(values), form)} {format(statistics.median(values), form)}"


def measure(
    title: str,
    runs: dict[str, Run],
    likes: Tensor,
    lengths: Tensor,
    threads: list[int],
    rounds: int,
) -> None:
    """Times every run and prints a line for each and each number of threads."""
    device = likes.device.type
    square = torch.randn(2048, 2048, device=device)
    bound = {name: partial(run, likes, lengths) for name, run in runs.items()}
    memory: dict[tuple[int, str], float] = {}
    times: dict[tuple[int, str], list[float]] = {}
    units: dict[int, list[float]] = {}
    for number in threads:
        torch.set_num_threads(number)
        for name, run in bound.items():
            megabytes = growth(run, device) - likes.numel() * 4 / 2**20
            memory[number, name] = max(0.0, megabytes)
    for _ in range(rounds):
        for number in threads:
            torch.set_num_threads(number)
            torch.mm(square, square)  # starts as many threads
            units.setdefault(number, []).append(seconds(lambda: torch.mm(square, square), device))
            for name, run in bound.items():
                times.setdefault((number, name), []).append(seconds(run, device))
    for (number, name), found in times.items():

        def over(others: list[float], found: list[float] = found) -> list[float]:
            return [a / b for a, b in zip(found, others, strict=True)]

        first = times[number, next(iter(bound))]
        faster = statistics.median(
            b / a for a, b in zip(found, times[threads[0], name], strict=True)
        )
        print(
            f"{title} {name:12} {number:7}   {summary(found, '.4f')}"
            f"   {summary(over(units[number]), '7.3f')}   {summary(over(first), '7.2f')}"
            f"  {faster:6.2f}   {memory[number, name]:6.0f}"
        )


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--graphs", type=Path, required=True)
    parser.add_argument("--names", default="small,big")
    parser.add_argument("--batch", type=numbers, default=[16, 64, 128], help="with commas")
    parser.add_argument("--frames", type=numbers, default=[50, 150], help="with commas")
    parser.add_argument("--threads", type=numbers, default=[1], help="with commas")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--backends", default="", help="with commas; default all but reference")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    options = parser.parse_args()
    torch.manual_seed(0)
    arc = torch.tensor([0])
    tiny = DenominatorGraph.from_arcs(arc, arc, arc, torch.tensor([1.0]))
    forward_backward(tiny, torch.zeros(1, 1, 1), torch.tensor([1]), backend="cpu")  # compiles
    torch.set_num_threads(options.threads[0])
    print(environment())
    gpu = ["gpu"] if torch.cuda.is_available() else []
    names = ["cpu", *gpu, "numerators", "k2", "pychain"]
    if options.backends:
        names = options.backends.split(",")
    absent: set[str] = set()
    print(f"{'':35} threads   seconds         over mm           over the first    faster  memory")
    print(f"{'':35}           min    median  min     median    min     median            MB")
    for graph_name in options.names.split(","):
        graph = load(options.graphs / f"den_{graph_name}.npz")
        runs: dict[str, Run] = {}
        for name in names:
            try:
                if name == "numerators":
                    runs[name] = numerators(options.graphs / f"num_{graph_name}.npz")
                else:
                    runs |= back_ends(name, graph)
            except Absent as reason:
                if name not in absent:
                    print(f"{name} is passed over: {reason}")
                absent.add(name)
        for frames in options.frames:
            for batch in options.batch:
                likes = torch.randn(batch, frames, graph.num_pdfs, device=options.device)
                lengths = torch.full((batch,), frames)
                title = f"{graph_name:6} B {batch:4} T {frames:4}"
                measure(title, runs, likes, lengths, options.threads, options.runs)
                if options.device == "cuda":
                    print(f"{title} floor {floor(graph, batch, frames) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
