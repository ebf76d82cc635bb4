"""Two processes with half of the rows each, under DDP, against one process with all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from chainstitch.nnet.optim import SGD, Backstitch, NaturalGradient

STEPS = 14  # past the tenth update, so that skipped ones are among them
RANKS = 2
INTERVALS = (1, 3)  # of backstitch


class Net(nn.Module):
    """A convolution, whose finished gradient is preconditioned, and two affine layers."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(2, 4, 3)
        self.middle = nn.Linear(4 * 6, 12)
        self.output = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.middle(self.convolution(x).relu().flatten(1)).relu())


def work(rank: int, ranks: int, out: Path) -> None:
    torch.set_num_threads(1)
    if ranks > 1:
        meeting = f"file://{out}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=ranks)
    for interval in INTERVALS:
        torch.save(train(rank, ranks, interval), out / f"{interval}_{ranks}_{rank}.pt")
    if ranks > 1:
        dist.destroy_process_group()


def train(rank: int, ranks: int, interval: int) -> dict[str, Any]:
    torch.manual_seed(0)
    net: nn.Module = Net().double()
    if ranks > 1:
        net = nn.parallel.DistributedDataParallel(net)
    natural_gradient = NaturalGradient(net)
    sgd = SGD(net, lr=0.05, max_change=0.5)
    optimizer = Backstitch(sgd, 0.5, interval, natural_gradient, net)
    losses = []
    for step in range(STEPS):
        torch.manual_seed(step)
        x, y = torch.randn(30, 2, 8, dtype=torch.float64), torch.randint(3, (30,))
        if ranks > 1:  # halves of unequal size
            x, y = (part.split([18, 12])[rank] for part in (x, y))

        def closure(x: torch.Tensor = x, y: torch.Tensor = y) -> torch.Tensor:
            net.zero_grad()
            loss = nn.functional.cross_entropy(net(x), y, reduction="sum")
            (loss * ranks).backward()  # DDP averages
            return loss

        losses.append(optimizer.step(closure).item())
    estimates = [side for pair in natural_gradient.state_dict().values() for side in pair]
    return {
        "parameters": [p.detach() for p in net.parameters()],
        "bases": [side["w"] for side in estimates],
        # of output derivatives, the estimate itself is that of a loss times `ranks`
        "estimates": [[s["w"].t() @ s["w"], s["d"] / s["rho"]] for s in estimates],
        "counts": natural_gradient.statistics(),
        "loss": sum(losses[-3:]),
    }


def test_two_processes_are_one_that_has_all_rows(tmp_path):
    mp.spawn(work, (RANKS, tmp_path), nprocs=RANKS)
    work(0, 1, tmp_path)
    for interval in INTERVALS:
        first, second, alone = (
            torch.load(tmp_path / f"{interval}_{name}.pt") for name in ("2_0", "2_1", "1_0")
        )
        for key in ("parameters", "estimates", "bases"):
            torch.testing.assert_close(first[key], second[key], rtol=0, atol=0)
        # not the bases, which have directions of equal share; the eigenvalues are roots of what is
        # exact to 1e-16
        torch.testing.assert_close(first["parameters"], alone["parameters"], rtol=0, atol=1e-5)
        torch.testing.assert_close(first["estimates"], alone["estimates"], rtol=1e-3, atol=1e-4)
        assert first["counts"] == alone["counts"]
        assert first["loss"] + second["loss"] == pytest.approx(alone["loss"], rel=1e-6)
