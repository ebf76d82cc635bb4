"""The states of torch's random generators, of the host and of all GPUs."""

from __future__ import annotations

import torch
from torch import Tensor

States = tuple[Tensor, list[Tensor]]


def states() -> States:
    """As they are now; a GPU that has not been used yet is not waked."""
    cuda: list[Tensor] = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return torch.get_rng_state(), cuda


def rewind(to: States) -> None:
    """Sets them to what `states` gave."""
    torch.set_rng_state(to[0].cpu())
    if to[1]:
        torch.cuda.set_rng_state_all([state.cpu() for state in to[1]])
