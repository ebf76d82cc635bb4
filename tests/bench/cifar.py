#!/usr/bin/env python3
"""Images a second of the paper's CIFAR network, and what our optimiser adds to plain SGD on it.

Every variant trains its own copy of the network on the same augmented minibatches, taken from the
same resident images as in training. In each of `--runs` rounds every variant takes `--steps` steps,
one after the other, so that whatever else the machine does falls on all of them; ratios are of
times in the same round, as minimum and median over the rounds; on the CPU also of processor time.

    sgd          torch.optim.SGD with momentum 0.9
    ng           natural gradient + max-change; wanted: at most 1.05 times sgd
    backstitch   the same with backstitch, m = 1; wanted: at most 2.05 times ng

`--trained EXP...` measures nothing: it reads finished runs of one system, and says how many seconds
of training they took (without evaluation, as airbench counts) and whether their mean test accuracy
is 94 % or more.

Examples:
    python tests/bench/cifar.py --width 1 --batch 256 --threads 2
    python tests/bench/cifar.py --trained egs/cifar/exp/resnet_1a_backstitch_s?
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from chainstitch.nnet.loss import ClassLoss
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from chainstitch.nnet.tasks.image_examples import ImageExamples
from chainstitch.utils.data.images import ImageSet
from chainstitch.utils.log import environment
from chainstitch.utils.score.classes import read_confusion
from chainstitch.utils.score.train_log import read_train_log

WARM_UP = 2
WANTED = 94.0  # per cent of test images, as in cifar10-airbench


def variants(
    network: WideResNet, examples: ImageExamples, batch: int, device: str
) -> dict[str, Callable[[], object]]:
    """Name -> one step."""

    def closure(model: WideResNet) -> Callable[[], Tensor]:
        loss = ClassLoss()

        def run() -> Tensor:
            chosen = torch.randint(len(examples), (batch,)).tolist()
            model.zero_grad()
            value = examples.batch(chosen).outcome(model, loss, device).value
            value.backward()
            return value

        return run

    def ours(scale: float) -> Callable[[], object]:
        model = copy.deepcopy(network)
        natural_gradient = NaturalGradient(model)
        optimizer = Backstitch(SGD(model, 1e-5), scale, 1, natural_gradient, model)
        run = closure(model)
        return lambda: optimizer.step(run)

    model = copy.deepcopy(network)
    plain, run = torch.optim.SGD(model.parameters(), 1e-5, momentum=0.9), closure(model)
    return {"sgd": lambda: plain.step(run), "ng": ours(0.0), "backstitch": ours(0.5)}


def speed(options: argparse.Namespace) -> None:
    """Prints images a second and the two ratios."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (2000, 32, 32, 3), np.uint8)
    images = ImageSet(pixels, generator.integers(0, 10, 2000), [str(n) for n in range(10)])
    examples = ImageExamples(images, device, max_shift=4, flip=True)
    network = WideResNet(10, width=options.width).to(device)
    network.bf16 = device == "cuda"
    print(
        f"{network.num_parameters()} parameters, minibatch {options.batch}, {device}, "
        f"{environment()}"
    )
    made = variants(network, examples, options.batch, device)
    for step in made.values():
        for _ in range(WARM_UP):
            step()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in made}
    for _ in range(options.runs):
        for name, step in made.items():
            _wait(device)
            began = time.perf_counter(), time.process_time()
            for _ in range(options.steps):
                step()
            _wait(device)
            spent = time.perf_counter() - began[0], time.process_time() - began[1]
            times[name].append(spent)
    for name, spent in times.items():
        rates = [options.steps * options.batch / wall for wall, _ in spent]
        middle = statistics.median(rates)
        print(f"{name:11} {max(rates):9.1f} images/s at best, {middle:9.1f} median")
    clocks = ["wall"] + ["processor"] * (device == "cpu")
    for ours, base, wanted in (("ng", "sgd", 1.05), ("backstitch", "ng", 2.05)):
        for clock, kind in enumerate(clocks):
            ratios = [a[clock] / b[clock] for a, b in zip(times[ours], times[base], strict=True)]
            least = min(t[clock] for t in times[ours]) / min(t[clock] for t in times[base])
            print(
                f"{ours} over {base}, {kind} time: least over least {least:.3f}, median of "
                f"ratios {statistics.median(ratios):.3f}, n = {len(ratios)}; wanted <= {wanted}"
            )


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def trained(directories: list[Path]) -> None:
    """Prints what finished runs took, and their accuracy."""
    accuracies, seconds = [], []
    for path in directories:
        found = read_confusion(path / "decode_test")
        accuracies.append(100 * (1 - found.errors / found.images))
        seconds.append(sum(float(row["seconds"]) for row in read_train_log(path / "train.jsonl")))
        print(f"{path}: {seconds[-1]:.1f} s of training, test accuracy {accuracies[-1]:.2f} %")
    mean = statistics.fmean(accuracies)
    verdict = "reached" if mean >= WANTED else "not reached"
    print(
        f"mean of {len(accuracies)}: {statistics.fmean(seconds):.1f} s, {mean:.2f} %; "
        f"{WANTED:g} % {verdict}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--trained", type=Path, nargs="+", default=[])
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.trained:
        trained(options.trained)
    else:
        speed(options)


if __name__ == "__main__":
    main()
