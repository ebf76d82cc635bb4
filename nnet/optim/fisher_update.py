"""Updating the Fisher estimates of many sides at once: equations (5) to (9).

The equations are in online_natural_gradient.py. Sides of equal shape are stacked, so that what is
small (rank x rank) is done in one batch, and one vector of flags for all of them is what the host
waits for, on the minibatches that update at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet.optim.side import Side

EPSILON = 1e-10  # absolute floor of rho and d
# floor relative to the largest sqrt(c); Kaldi's header comment says 1e-5, its code this
DELTA = 5e-4
CONDITION_LIMIT = 1e6  # of Z, above which R is looked at and, if need be, made orthonormal again
TOLERANCE = 1e-5  # of R R^T - I; Kaldi's is 1e-3


def finish_together(sides: Sequence[Side]) -> None:
    """`finish` for many sides: those of equal shape are updated in one batch of small matrices.

    What comes back to the host is one vector of flags for all of them, and only when some estimate
    was updated.
    """
    batches: dict[Any, list[Side]] = {}
    for side in sides:
        if side.w is None or not side.w.numel() or not side.rows:
            continue
        if side.will_update():
            key = (side.w.shape, side.w.dtype, side.w.device, side.alpha)
            batches.setdefault(key, []).append(side)
        elif not side.frozen:
            side.num_skipped += 1
    flags = [(members, _update_batch(members)) for members in batches.values()]
    _mend(flags)
    for members in batches.values():
        for side in members:
            side.num_updates += 1
            side.num_skipped = 0
    for side in sides:
        side.clear()


def update(sides: Sequence[Side]) -> None:
    """One update of sides of one shape from their sums, without counting it as a minibatch's."""
    _mend([(sides, _update_batch(sides))])


def _update_batch(sides: Sequence[Side]) -> Tensor:
    """(5) to (9) for sides of one shape, in double precision: Z holds squares of eigenvalues.

    Returns (sides, 3) flags: an input was not finite and the estimate left as it was; some c was
    floored; R may have drifted from orthonormal.
    """
    w, d = _stack(sides, "w"), _stack(sides, "d")
    rho, trace = _stack(sides, "rho")[:, None], _stack(sides, "trace")[:, None]
    l, j = _stack(sides, "l"), _stack(sides, "j")  # noqa: E741
    rank, dim = w.shape[1:]
    alpha = sides[0].alpha
    eta = d.new_tensor([[side.eta(side.rows)] for side in sides])
    a, b = eta / d.new_tensor([[side.rows] for side in sides]), 1.0 - eta
    s = d + rho
    scale = shares(d, rho, alpha, dim).rsqrt()
    both = scale[:, :, None] * scale[:, None, :]
    ls = l * both
    crossed = ls * s[:, None, :] + s[:, :, None] * ls
    a_, b_ = a[:, :, None], b[:, :, None]
    z = a_ * a_ * (j @ j.mT) * both + a_ * b_ * crossed + torch.diag_embed((b * s).square())  # (5)
    norm = z.diagonal(dim1=1, dim2=2).sum(1).clamp(min=1.0)
    finite = torch.isfinite(norm)
    z = torch.where(finite[:, None, None], z / norm[:, None, None], torch.eye(rank).to(z))
    c, u = torch.linalg.eigh(z)  # (6)
    order = c.abs().argsort(dim=1, descending=True)
    c = c.gather(1, order) * norm[:, None]
    u = u.gather(2, order[:, None, :].expand_as(u))
    floor = (rho * b).square()
    floored = (c < floor).any(1)
    drifted = (c[:, 0] > CONDITION_LIMIT * c[:, -1]) | floored
    c = c.maximum(floor)
    root = c.sqrt()
    everything = a * trace + b * (dim * rho + d.sum(1, keepdim=True))
    new_rho = (everything - root.sum(1, keepdim=True)) / (dim - rank)  # (7)
    least = (DELTA * root.amax(1, keepdim=True)).clamp(min=EPSILON)
    new_d = (root - new_rho).maximum(least)  # (8)
    new_rho = new_rho.maximum(least)
    new_e = shares(new_d, new_rho, alpha, dim)
    inner = j + ((b / a) * s)[:, :, None] * w
    mix = (new_e / c).sqrt()[:, :, None] * u.mT * scale[:, None, :]
    new_w = a_ * (mix @ inner)  # (9)
    keep = finite[:, None]
    for i, side in enumerate(sides):
        assert side.w is not None
        side.w = torch.where(keep[i], new_w[i], w[i]).to(side.w.dtype)
        side.d = torch.where(keep[i], new_d[i], d[i]).to(side.w.dtype)
        side.rho = torch.where(finite[i], new_rho[i, 0], rho[i, 0]).to(side.w.dtype)
    return torch.stack([~finite, floored & finite, drifted & finite], 1)


def _mend(updated: Sequence[tuple[Sequence[Side], Tensor]]) -> None:
    """Counts; makes R orthonormal again where it may have drifted. Waits for the device once."""
    if not updated:
        return
    members = [side for sides, _ in updated for side in sides]
    device = updated[0][1].device
    flags = torch.cat([flags.to(device) for _, flags in updated]).tolist()
    for side, (nonfinite, floored, drifted) in zip(members, flags, strict=True):
        side.num_nonfinite += nonfinite
        side.num_floored += floored
        if drifted:
            _make_orthonormal(side)


def _stack(sides: Sequence[Side], name: str) -> Tensor:
    return torch.stack([getattr(side, name) for side in sides]).double()


def shares(d: Tensor, rho: Tensor, alpha: float, dim: int) -> Tensor:
    """e of (2, 3) for d (..., rank), rho (..., 1)."""
    beta = rho * (1.0 + alpha) + alpha * d.sum(-1, keepdim=True) / dim
    return 1.0 / (beta / d + 1.0)


def _make_orthonormal(side: Side) -> None:
    """Makes R = Diag(e)^-1/2 W orthonormal again if it no longer is."""
    assert side.w is not None
    dtype, dim = side.w.dtype, side.w.shape[1]
    root = shares(side.d.double(), side.rho.double()[None], side.alpha, dim).sqrt()[:, None]
    r = side.w.double() / root
    o = r @ r.t()
    identity = torch.eye(len(o), dtype=o.dtype, device=o.device)
    if bool((o - identity).abs().max() < TOLERANCE):
        return
    side.num_reorthogonalised += 1
    c, failed = torch.linalg.cholesky_ex(o)
    if not bool(failed):
        inverse: Tensor = torch.linalg.solve_triangular(c, identity, upper=False)
        if bool(inverse.abs().max() < 100):
            side.w = (root * (inverse @ r)).to(dtype)
            return
    for i in range(len(r)):  # Gram-Schmidt, twice over for rounding
        for _ in range(2):
            r[i] -= (r[i] @ r[:i].t()) @ r[:i]
        length = r[i].norm()
        # a row without anything of its own becomes the first unit vector that is free
        while length < 1e-10:
            candidates = identity.new_ones(r.shape[1]) - r[:i].square().sum(0)
            r[i] = 0
            r[i, candidates.argmax()] = 1
            r[i] -= (r[i] @ r[:i].t()) @ r[:i]
            length = r[i].norm()
        r[i] /= length
    side.w = (root * r).to(dtype)
