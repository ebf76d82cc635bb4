"""Trained layers as torch's own operations on padded batches, for files that need no chainstitch.

A layer of `Network` works on ragged rows and carries what training wants: random masks, hand-made
derivatives, attributes of the optimiser. Here is what is left of each in evaluation, as modules
that `torch.jit.script` and `torch.export` can both take, called with

    x (batch, rows, dim), counts (batch,) rows of each sequence   ->   (batch, rows, dim out)

Rows past a sequence's count hold whatever falls out, and no row before them depends on it.

Layers are known here by their class, in `_MAKERS`. A layer with the attribute `by_row = True` needs
no row there: it says that its own `forward` makes each row (..., in) of that row alone, by torch's
operations, in training as in evaluation.

**An LSTM** (lstmp.py has its formulas). Row n takes c and r of row n - k, k = |delay| in rows. The
rows 0, k, 2k ... are one chain, and the k chains run side by side as a batch k times as wide, in
ceil(rows / k) steps. One that looks ahead runs from the last row down; there sequences of different
lengths begin at different steps, so what comes from a row n + k that a sequence has not is zeroed,

    c- = decay [n + k < count] c(n + k)        r- likewise

which is where the shorter sequence then begins. TorchScript keeps the loop as it stands; for
torch.export, where the number of steps must not be unrolled, it is one `scan`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.jit import is_scripting  # type: ignore[attr-defined]

from chainstitch.nnet.layers import (
    Affine,
    BatchNorm,
    FastLSTMP,
    FixedAffine,
    FreqWarp,
    GateDropout,
    InverseDCT,
    Linear,
    LSTMPRows,
    Renorm,
    RepairedReLU,
    SharedDropout,
    SpecAugment,
)
from chainstitch.nnet.layers.normalise import SQUARED_NORM_FLOOR
from chainstitch.nnet.nets.build import Stack


class PortableAffine(nn.Module):
    """x W' + b, or x W' where there is no b."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor | None
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", None if bias is None else bias.detach().clone())

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, in) -> (batch, rows, out)."""
        return F.linear(x, self.weight, self.bias)


class PortableScaling(nn.Module):
    """(x - mean) scale, by dimension."""

    def __init__(self, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", mean.detach().clone())
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, dim) -> the same."""
        return (x - self.mean) * self.scale


class PortableRows(nn.Module):
    """A layer that says of itself, by `by_row`, that it can go as it is."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = copy.deepcopy(layer).requires_grad_(False)

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, in) -> (batch, rows, out)."""
        y: Tensor = self.layer(x)
        return y


class PortableReLU(nn.Module):
    """max(0, x)."""

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, dim) -> the same."""
        return x.relu()


class PortableRenorm(nn.Module):
    """Rows scaled to a root-mean-square; see normalise.py."""

    def __init__(self, target_rms: float) -> None:
        super().__init__()
        self.target_rms, self.floor = target_rms, SQUARED_NORM_FLOOR

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, dim) -> the same."""
        mean_square = x.square().mean(-1, keepdim=True).clamp(min=self.floor)
        return x * (self.target_rms * torch.rsqrt(mean_square))


class PortableLSTM(nn.Module):
    """An LSTM as the module's text has it.

    Args:
        lstm: the trained layer; gate_scale: what i, f and o are multiplied by, 1 without dropout.
    """

    def __init__(self, lstm: FastLSTMP, gate_scale: float) -> None:
        super().__init__()
        self.cell, self.recurrent = lstm.cell, lstm.recurrent
        self.chains, self.ahead = abs(lstm.delay) // lstm.step, lstm.delay > 0
        self.decay, self.gate_scale = float(lstm.decay), gate_scale
        self.projects = lstm.w_rp is not None
        w_x, w_r = lstm.w_all.weight.detach().split([lstm.dim, lstm.recurrent], 1)
        w_rp, b_rp = w_r.new_zeros(0, 0), w_r.new_zeros(0)
        if lstm.w_rp is not None:
            w_rp, b_rp = lstm.w_rp.weight, lstm.w_rp.bias
        self.w_x: Tensor
        self.w_r: Tensor
        self.b: Tensor
        self.w_rp: Tensor
        self.b_rp: Tensor
        self.peepholes: Tensor
        for name, value in {
            "w_x": w_x, "w_r": w_r, "b": lstm.w_all.bias, "w_rp": w_rp, "b_rp": b_rp,
            "peepholes": lstm.peepholes.weight,
        }.items():  # fmt: skip
            self.register_buffer(name, value.detach().clone())

    def forward(self, x: Tensor, counts: Tensor) -> Tensor:
        """(batch, rows, dim) -> (batch, rows, R + P)."""
        batch, rows = x.shape[0], x.shape[1]
        k = self.chains
        steps = (rows + k - 1) // k
        gates = F.linear(F.pad(x, (0, 0, 0, steps * k - rows)), self.w_x, self.b)
        gates = gates.reshape(batch, steps, k, 4 * self.cell)
        gates = gates.permute(1, 0, 2, 3).reshape(steps, batch * k, 4 * self.cell)
        source = torch.arange(steps * k, device=x.device).reshape(steps, 1, k) + k
        keep = (source < counts.reshape(1, batch, 1)) | (not self.ahead)
        keep = keep.reshape(steps, batch * k, 1).to(x.dtype) * self.decay
        if self.ahead:
            gates, keep = gates.flip([0]), keep.flip([0])
        y = self._run(gates, keep)
        if self.ahead:
            y = y.flip([0])
        dim = y.shape[2]
        y = y.reshape(steps, batch, k, dim).permute(1, 0, 2, 3).reshape(batch, steps * k, dim)
        return y[:, :rows] if k > 1 else y

    def _run(self, gates: Tensor, keep: Tensor) -> Tensor:
        """(steps, rows, R + P) of gates (steps, rows, 4C), keep (steps, rows, 1), in order."""
        c = gates.new_zeros(gates.shape[1], self.cell)
        r = gates.new_zeros(gates.shape[1], self.recurrent)
        if not is_scripting():  # noqa: SIM102 - TorchScript does not know the inner one
            if torch.compiler.is_exporting():
                return self._scan(gates, keep, c, r)
        done: list[Tensor] = []
        for t in range(gates.shape[0]):
            c, rp = self._step(gates[t], keep[t], c, r)
            r = rp[:, : self.recurrent]
            done.append(rp)
        return torch.stack(done)

    def _step(self, gates: Tensor, keep: Tensor, c: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        """c and r; p after one step."""
        c = c * keep
        i, f, g, o = (gates + F.linear(r * keep, self.w_r)).chunk(4, 1)
        i = (i + c * self.peepholes[0]).sigmoid() * self.gate_scale
        f = (f + c * self.peepholes[1]).sigmoid() * self.gate_scale
        c = f * c + i * g.tanh()
        o = (o + c * self.peepholes[2]).sigmoid() * self.gate_scale
        m = o * c.tanh()
        return c, F.linear(m, self.w_rp, self.b_rp) if self.projects else m

    @torch.jit.unused
    def _scan(self, gates: Tensor, keep: Tensor, c: Tensor, r: Tensor) -> Tensor:
        from torch._higher_order_ops.scan import scan  # torch has no public name for it yet

        def step(
            state: tuple[Tensor, Tensor], now: tuple[Tensor, Tensor]
        ) -> tuple[tuple[Tensor, Tensor], Tensor]:
            c, rp = self._step(now[0], now[1], state[0], state[1])
            return (c, rp[:, : self.recurrent].clone()), rp.clone()

        y: Tensor = scan(step, (c, r), (gates, keep), dim=0)[1]
        return y


def portable_layers(layer: nn.Module) -> list[nn.Module]:
    """What a layer of a `Network` does in evaluation, as a list of the modules above.

    Raises:
        TypeError: a layer that is not known here.
    """
    if isinstance(layer, Stack):
        return [part for inner in layer for part in portable_layers(inner)]
    for kind, make in _MAKERS.items():
        if isinstance(layer, kind):
            return make(layer)
    if getattr(layer, "by_row", False):
        return [PortableRows(layer)]
    raise TypeError(
        f"a {type(layer).__name__} cannot be exported; give it a row of _MAKERS in "
        "nets/portable_layers.py, or by_row = True if that is what it is"
    )


def _affine(layer: Any) -> list[nn.Module]:
    return [PortableAffine(layer.weight, layer.bias)]


def _nothing(layer: nn.Module) -> list[nn.Module]:
    return []


def _norm(layer: Any) -> list[nn.Module]:
    scale = layer.target_rms * (layer.running_var + layer.eps).rsqrt()
    return [PortableScaling(layer.running_mean, scale)]


def _lstm(layer: Any) -> list[nn.Module]:
    dropout: GateDropout | None = layer.dropout
    return [PortableLSTM(layer.lstmp, 1.0 if dropout is None else 1.0 - dropout.p)]


_MAKERS: dict[Any, Callable[[Any], list[nn.Module]]] = {
    (Affine, Linear, FixedAffine): _affine,
    InverseDCT: lambda layer: [PortableAffine(layer.matrix, None)],
    BatchNorm: _norm,
    Renorm: lambda layer: [PortableRenorm(layer.target_rms)],
    (nn.ReLU, RepairedReLU): lambda layer: [PortableReLU()],
    LSTMPRows: _lstm,
    # of training only
    (nn.Identity, nn.Dropout, SharedDropout, SpecAugment, FreqWarp): _nothing,
}
