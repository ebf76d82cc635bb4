"""The back ends of forward-backward behind one call; each is imported when it is first asked for.

cpu        Numba kernels (cpu.py); tensors on a GPU are copied to the host and back
gpu        Triton (gpu.py)
reference  float64, arc by arc, slow (reference.py)
k2         through k2 (via_k2.py), without the leak
"""

from __future__ import annotations

import os

from torch import Tensor

from chainstitch.nnet.chain import reference
from chainstitch.nnet.chain.denominator import DenominatorGraph

BACKENDS = ("auto", "cpu", "gpu", "k2", "reference")


def path_sums(
    backend: str, graph: DenominatorGraph, likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    """log Z (batch,) and posteriors like `likes`, as one back end computes them; not "auto".

    log Z is -inf where float32 was not enough, or where no path of the graph is as long as the
    sequence; NaN or +inf where `likes` has one.

    Raises:
        ValueError: the back end cannot run here.
    """
    if backend == "reference":
        log_z, exact = reference.denominator(graph, likes, lengths, leaky)
        return log_z, exact.to(likes.dtype)
    if backend == "k2":
        from chainstitch.nnet.chain import via_k2

        return via_k2.denominator(graph, likes, lengths, leaky)
    if backend == "gpu":
        return _gpu(graph, likes, lengths, leaky)
    from chainstitch.nnet.chain import cpu  # late: imports Numba

    on_host = likes.float().cpu().numpy()
    return cpu.denominator(graph, on_host, lengths.cpu().numpy(), leaky)


def _gpu(
    graph: DenominatorGraph, likes: Tensor, lengths: Tensor, leaky: float
) -> tuple[Tensor, Tensor]:
    if likes.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f"forward_backward: backend 'gpu' wants tensors on a GPU, found {likes.device}; use "
            "backend='cpu'"
        )
    try:
        from chainstitch.nnet.chain import gpu
    except ImportError as error:
        raise ValueError(
            f"forward_backward: backend 'gpu' wants triton ({error}); `pip install triton`"
        ) from None
    return gpu.denominator(graph, likes, lengths, leaky)
