"""Data-parallel training: one process for each GPU, started by torchrun, all with the same model.

    torchrun --nproc-per-node 4 -m chainstitch.bin.main train conf/tdnn_1a.toml ...

Every process reads its share of each minibatch, and whatever a minibatch's update depends on is
summed over the processes before it is used: gradients, the natural gradient's sums
(across_ranks.py), batch-norm's moments, the counts of self-repair. So each step is that of one
process with the whole minibatch, but for the order of additions, and with it max-change and both
steps of backstitch.
What is random in the data's path (dropout, augmentation) differs between the processes; what is
random in the parameters' path (semi-orthogonal constraints) does not.

All processes go through the same minibatches, and whatever may end one of them early (a signal,
output that is not finite) is agreed on first, so that none waits for another that does not come.
The process of rank 0 alone writes: the directory, checkpoints, log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from chainstitch.nnet.parallel.all_reduce import sum_together
from chainstitch.utils.children import die_with_us
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.stop_signals import end_at_once

LAUNCHER = ("RANK", "WORLD_SIZE", "LOCAL_RANK")  # variables that torchrun sets


class Ranks:
    """The processes that train together; with the default arguments this one is alone.

    Attributes:
        rank: of this one, from 0; size: how many there are.
        group: torch's process group of them; None where this one is alone.
    """

    def __init__(self, rank: int = 0, size: int = 1, group: Any = None) -> None:
        self.rank, self.size, self.group = rank, size, group

    def share(self, indices: Sequence[int]) -> Sequence[int]:
        """This process's part of a minibatch; the parts differ in size by at most one."""
        return indices[self.rank :: self.size]

    def any(self, flag: bool) -> bool:
        """Whether it is true in any process."""
        if self.group is None:
            return flag
        return bool(sum_together([torch.tensor(float(flag))], self.group)[0] > 0)

    def totals(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Sums over the processes, all of which have the same names."""
        if self.group is None:
            return dict(numbers)
        names = sorted(numbers)
        values = torch.tensor([numbers[name] for name in names], dtype=torch.float64)
        return dict(zip(names, sum_together([values], self.group)[0].tolist(), strict=True))

    def sum_gradients(self, module: nn.Module) -> None:
        """Replaces every parameter's gradient by the sum over the processes, in one message."""
        if self.group is None:
            return
        parameters = [p for p in module.parameters() if p.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        for p, gradient in zip(parameters, sum_together(gradients, self.group), strict=True):
            p.grad = gradient

    def copy_first(self, tensors: Iterable[Tensor]) -> None:
        """Gives all processes the values that the first has."""
        if self.group is None:
            return
        with torch.no_grad():
            for tensor in tensors:
                dist.broadcast(tensor.data, 0, group=self.group)

    def of_first(self, number: float) -> float:
        """What the first process has, so that all decide alike."""
        told = torch.tensor(number, dtype=torch.float64)
        self.copy_first([told])
        return float(told)

    def wait(self) -> None:
        """Returns when all processes have come here."""
        self.any(False)

    def join(self, module: nn.Module) -> None:
        """Has the layers that look at a whole minibatch look at all shares of it."""
        for name, layer in module.named_modules():
            if hasattr(layer, "minibatch_group"):
                layer.minibatch_group = self.group
            elif self.group is not None and isinstance(layer, nn.modules.batchnorm._BatchNorm):
                raise UsageError(
                    f"layer {name} ({type(layer).__name__}) sees its own process's share of a "
                    "minibatch only; train this network with one process"
                )


def launched() -> bool:
    """Whether torchrun (or who sets the same variables) started this process, beside others."""
    return _number("WORLD_SIZE", "1") > 1


def _number(name: str, default: str = "") -> int:
    """A variable that torchrun sets.

    Raises:
        UsageError: it is no number.
    """
    text = os.environ.get(name, default)
    if not re.fullmatch(r"[0-9]{1,6}", text):
        raise UsageError(
            f"the variable {name} is {text!r}; start the processes with torchrun, or unset it"
        )
    return int(text)


@contextmanager
def launched_ranks() -> Iterator[Ranks]:
    """The processes that torchrun started; this one alone if it did not.

    Raises:
        UsageError: some of torchrun's variables are missing.
        UserError: another process of them ended, so that there is nothing to go on with.
    """
    if not launched():
        yield Ranks()
        return
    missing = [name for name in LAUNCHER if name not in os.environ]
    if missing:
        raise UsageError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but {' and '.join(missing)} not set; "
            "start the processes with torchrun"
        )
    rank, size = _number("RANK"), _number("WORLD_SIZE")
    die_with_us()  # torchrun's processes would train on, and hold the lock, where that is killed
    try:
        # tensors go by where they are: through gloo from the host, through NCCL from a GPU
        with end_at_once():  # it waits for the others, half an hour if need be
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
        try:
            yield Ranks(rank, size, dist.group.WORLD)
        finally:
            dist.destroy_process_group()
    except RuntimeError as error:
        if not _of_a_peer(error):
            raise
        raise UserError(
            f"process {rank} of {size}: another one is gone, see what it says; --resume auto goes "
            "on from the last checkpoint"
        ) from error


def _of_a_peer(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error)


def local_device(device: str) -> str:
    """The GPU of this process where `device` is "auto" or "cuda"; else `device`.

    With as many processes on a machine as it has visible GPUs each has its own.
    """
    if launched() and device in ("auto", "cuda") and torch.cuda.is_available():
        number = _number("LOCAL_RANK") % torch.cuda.device_count()
        torch.cuda.set_device(number)
        return f"cuda:{number}"
    return device
