#!/usr/bin/env python3
"""What a step of our optimiser costs, against torch.optim.SGD and others on the same network.

Every variant trains its own copy of one network on the same data. In each of `--runs` rounds every
variant takes `--steps` steps, one after the other, so that whatever else the machine does falls on
all of them; reported is a round's time over that of plain SGD in the same round, as minimum and
median over the rounds. The first 12 steps, in which the Fisher estimates are updated every time,
are not counted. `bytes added` is the optimiser's state beyond parameters and gradients.

    tdnn    seven layers of 512, spliced, frame subsampling 3; 64 sequences of 150 frames of 40
    lstmp   two LSTMPs of 512 cells, 64 sequences of 50 frames of 40
    resnet  the paper's CIFAR network (20 convolutions, 48/128/384 filters, 192 in the bottlenecks)

--port FILE also runs `NGD` from the ngd.py of github.com/YiwenShaoStephen/NGD-SGD.

Example: python tests/bench/optimiser.py --model tdnn --threads 2 --port ngd.py
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chainstitch.nnet.layers import Affine, FastLSTMP
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient
from chainstitch.utils.log import environment

WARM_UP = 12
Step = Callable[[], Any]

TDNN = "input name=input dim=40\n" + "".join(
    f"relu-batchnorm-layer name=tdnn{n} dim=512 input=Append({splice})\n"
    for n, splice in enumerate(["-1,0,1"] * 3 + ["-3,0,3"] * 4)
)


def tdnn(batch: int) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """The TDNN with 2000 outputs, and its summed cross-entropy on one minibatch."""
    network = Network(TDNN + "output-layer name=output\n", 2000)
    x, lengths = torch.randn(batch, 150, 40), torch.full((batch,), 150)
    targets = torch.randint(2000, (batch * 50,))
    return network, lambda model: F.cross_entropy(
        model(x, lengths)[0].flatten(0, 1), targets, reduction="sum"
    )


def lstmp(batch: int) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """LSTMPs with 2000 outputs, and their summed cross-entropy on one minibatch."""
    network = nn.Sequential(
        FastLSTMP(40, 512, decay_time=20), FastLSTMP(256, 512, decay_time=20), Affine(256, 2000)
    )
    x, targets = torch.randn(50, batch, 40), torch.randint(2000, (50 * batch,))
    return network, lambda model: F.cross_entropy(model(x).flatten(0, 1), targets, reduction="sum")


def resnet(batch: int) -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    """The paper's network for CIFAR, and its summed cross-entropy on one minibatch."""
    network = WideResNet(10)
    x, targets = torch.rand(batch, 3, 32, 32), torch.randint(10, (batch,))
    return network, lambda model: F.cross_entropy(model(x), targets, reduction="sum")


def variants(
    make: Callable[[], nn.Module], loss: Callable[[nn.Module], Tensor], port: Path | None
) -> dict[str, tuple[Step, Callable[[], int]]]:
    """Name -> (one step, bytes of state)."""
    made: dict[str, tuple[Step, Callable[[], int]]] = {}

    def closure(model: nn.Module) -> Callable[[], Tensor]:
        def run() -> Tensor:
            model.zero_grad()
            value = loss(model)
            value.backward()
            return value

        return run

    def torch_optimizer(name: str, build: Callable[[nn.Module], torch.optim.Optimizer]) -> None:
        model = make()
        optimizer, run = build(model), closure(model)
        made[name] = (lambda: optimizer.step(run)), lambda: _bytes(optimizer.state_dict()["state"])

    def ours(name: str, natural: bool, limit: float, scale: float, interval: int) -> None:
        model = make()
        gradient = NaturalGradient(model) if natural else None
        sgd = SGD(model, 1e-5, max_change_per_layer=limit, max_change=2.0 if limit else 0.0)
        optimizer, run = Backstitch(sgd, scale, interval, gradient, model), closure(model)
        made[name] = (
            (lambda: optimizer.step(run)),
            lambda: _bytes(sgd.state_dict()["state"]) + _bytes(gradient and gradient.state_dict()),
        )

    def sharpness_aware(name: str) -> None:  # two passes, as in Foret et al. 2021, radius 0.05
        model = make()
        parameters = list(model.parameters())
        optimizer, run = torch.optim.SGD(parameters, 1e-5), closure(model)

        def step() -> None:
            run()
            gradients = [p.grad for p in parameters]
            norm = torch.stack(torch._foreach_norm(gradients)).norm()
            away = torch._foreach_mul(gradients, 0.05 / norm)
            with torch.no_grad():
                torch._foreach_add_(parameters, away)
            run()
            with torch.no_grad():
                torch._foreach_sub_(parameters, away)
            optimizer.step()

        made[name] = step, lambda: sum(p.numel() * p.element_size() for p in parameters)

    torch_optimizer("torch SGD", lambda m: torch.optim.SGD(m.parameters(), 1e-5))
    ours("SGD + max-change", False, 0.75, 0.0, 1)
    ours("NG", True, 0.0, 0.0, 1)
    ours("NG + max-change", True, 0.75, 0.0, 1)
    ours("NG + max-change + backstitch m=4", True, 0.75, 1.0, 4)
    ours("NG + max-change + backstitch m=1", True, 0.75, 0.3, 1)
    torch_optimizer("torch AdamW", lambda m: torch.optim.AdamW(m.parameters(), 1e-5))
    sharpness_aware("SAM")
    if port is not None:
        ngd = _load(port)
        torch_optimizer("NGD-SGD port", lambda m: ngd.NGD(m.parameters(), lr=1e-5, ngd=True))
    return made


def _load(path: Path) -> Any:
    import torch.optim.optimizer as module

    # what torch has dropped since the port was written
    if not hasattr(module, "required"):
        module.required = object()  # type: ignore[attr-defined]
    Tensor.symeig = lambda z, _: torch.linalg.eigh(z)  # type: ignore[method-assign]
    spec = importlib.util.spec_from_file_location("ngd", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def _bytes(state: Any) -> int:
    if isinstance(state, Tensor):
        return state.numel() * state.element_size()
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    if isinstance(state, list | tuple):
        return sum(map(_bytes, state))
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=["tdnn", "lstmp", "resnet"], default="tdnn")
    parser.add_argument("--batch", type=int, default=64, help="sequences or images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=4, help="a multiple of 4: backstitch, updates")
    parser.add_argument("--only", default="", help="names with commas; plain SGD always runs")
    parser.add_argument("--port", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model, loss = {"tdnn": tdnn, "lstmp": lstmp, "resnet": resnet}[options.model](options.batch)
    made = variants(lambda: copy.deepcopy(model), loss, options.port)
    wanted = {"torch SGD", *options.only.split(",")} if options.only else set(made)
    made = {name: variant for name, variant in made.items() if name in wanted}
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{options.model}: {parameters} parameters, minibatch {options.batch}, {environment()}")
    for step, _ in made.values():
        for _ in range(WARM_UP):
            step()
    times: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(options.runs):
        for name, (step, _) in made.items():
            began = time.perf_counter()
            for _ in range(options.steps):
                step()
            times[name].append((time.perf_counter() - began) / options.steps)
    plain = times["torch SGD"]
    print(f"{'':34} seconds a step       times torch SGD   bytes added")
    print(f"{'':34}  min    median        min   median")
    for name, (_, size) in made.items():
        ratios = [a / b for a, b in zip(times[name], plain, strict=True)]
        print(
            f"{name:34} {min(times[name]):.4f} {statistics.median(times[name]):.4f}"
            f"      {min(ratios):6.3f} {statistics.median(ratios):6.3f}  {size():12,}"
        )
    ours = times.get("NG + max-change", [])
    for name in times:
        if ours and name.startswith("NG + max-change +"):
            ratios = [a / b for a, b in zip(times[name], ours, strict=True)]
            print(f"{name} over NG + max-change: {_summary(ratios)}")
    if ours and "NGD-SGD port" in times:
        rows = zip(times["NGD-SGD port"], ours, plain, strict=True)
        added = [(port - sgd) / (our - sgd) for port, our, sgd in rows if our > sgd]
        print(f"what the port adds to plain SGD over what NG + max-change adds: {_summary(added)}")


def _summary(values: list[float]) -> str:
    if not values:
        return "nothing measurable"
    return f"min {min(values):.3f}, median {statistics.median(values):.3f}, n = {len(values)}"


if __name__ == "__main__":
    main()
