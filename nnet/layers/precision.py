"""What autocast has made narrow, where sums want more digits."""

from __future__ import annotations

import torch
from torch import Tensor


def widened(x: Tensor) -> Tensor:
    """x, in float32 if it is in a half precision."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
