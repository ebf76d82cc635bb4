"""Sums over the processes of data-parallel training, many tensors in one message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def sum_together(parts: Sequence[Tensor], group: Any) -> list[Tensor]:
    """The sums of tensors over the processes of `group`, in one all-reduce.

    Summed in float32 at least; shapes and types of the results are those of `parts`, which every
    process has to give in the same order and of the same shapes.
    """
    dtype = torch.promote_types(torch.float32, parts[0].dtype)
    flat = torch.cat([part.reshape(-1).to(dtype) for part in parts])
    dist.all_reduce(flat, group=group)
    pieces = flat.split([part.numel() for part in parts])
    return [p.view_as(part).to(part.dtype) for p, part in zip(pieces, parts, strict=True)]


class SumOver(torch.autograd.Function):
    """The sum of a tensor over the processes of a group, with its derivative.

    As all processes go on from the same sum, the derivative by one's own tensor is the sum over the
    processes of their derivatives by the result.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, group: Any) -> Tensor:
        ctx.group = group
        return sum_together([x], group)[0]

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        return sum_together([dy], ctx.group)[0], None
