"""Online natural gradient: Povey, Zhang and Khudanpur, ICLR workshop 2015, as Kaldi runs it.

**What it does.** The gradient of an affine layer y = W x + b, summed over the rows (frames) of a
minibatch, is G = sum over rows of dy x^T. Natural gradient multiplies it on both sides by the
inverse of a Fisher matrix: one of the layer's inputs x, one of its output derivatives dy. Each side
keeps its own running estimate

    F = R^T Diag(d) R + rho I                                                           (1)

with R (rank x dim) orthonormal rows, d > 0 descending and rho > 0: the leading directions
exactly, one average number for all the others. One side is a class here, `OnlineNaturalGradient`;
`NaturalGradient` puts two of them on every affine layer of a module.

**Preconditioning.** Smooth F towards a multiple of I,

    F + (alpha tr(F) / dim) I  =  R^T Diag(d) R + beta I,
    beta = rho (1 + alpha) + alpha sum(d) / dim                                         (2)

and multiply by beta times its inverse (Woodbury; R orthonormal):

    X_hat = X (I - R^T Diag(e) R),    e_i = d_i / (d_i + beta).                         (3)

We store W = Diag(e)^1/2 R, so that with H = X W^T (rows x rank) this is X_hat = X - H W: two thin
products. Last, X_hat is rescaled to the Frobenius norm of X, so that preconditioning changes
direction and not speed:

    gamma = ( tr(X X^T) / tr(X_hat X_hat^T) )^1/2.                                      (4)

F comes from *earlier* minibatches only: an estimate that has seen the current one biases SGD.

**Updating.** With S = X^T X / rows and forgetting factor eta, the estimate we would like is
T = eta S + (1 - eta) F. One step of subspace iteration with it, Y = R T and the eigenvalues of
Y Y^T, gives the next R, d, rho. Written with W instead of R nothing of size dim x dim appears. Let
J = H^T X (rank x dim), L = H^T H, K = J J^T, E = Diag(e), S = Diag(d) + rho I, a = eta / rows,
b = 1 - eta:

    Z = a^2 E^-1/2 K E^-1/2 + a b (E^-1/2 L E^-1/2 S + S E^-1/2 L E^-1/2) + b^2 S^2     (5)
    Z = U Diag(c) U^T,  c descending                                                    (6)
    rho' = ( a tr(X X^T) + b (dim rho + sum(d)) - sum(sqrt(c)) ) / (dim - rank)         (7)
    d'_i = sqrt(c_i) - rho', then both floored at max(epsilon, delta sqrt(c_1))         (8)
    W' = a E'^1/2 Diag(c)^-1/2 U^T E^-1/2 ( J + (b/a) S W )                             (9)

Rounding makes R drift from orthonormal when Z is badly conditioned (c_1 > 1e6 c_rank, or any c
floored): Z holds squares, so 16 digits are left with 4 at a condition of 1e12. Then, if R has
drifted, W' is orthogonalised again by Cholesky, or by Gram-Schmidt when Cholesky is unsafe.
A port without this step diverges: see the test of the ill-conditioned case.

**Everything is a sum over rows.** gamma, J and L need only

    rows, tr(X X^T), L = H^T H, J = H^T X        (J only when the estimate will be updated)

because tr(X_hat X_hat^T) = tr(X X^T) - 2 tr(L) + tr(L W W^T) (in float32, a gamma off by some per
cent when one direction holds all but 1e-6 of X), and because by (3) preconditioning is a linear map
on columns: the preconditioned gradient is P_out G P_in with P = I - W^T W. So
`NaturalGradient` never forms X_hat. It watches each layer with hooks, adds up those sums while
autograd computes the ordinary gradient G, and multiplies G afterwards, as `gamma_in gamma_out
P_out G P_in`. That makes gradient accumulation, shared weights and any other use of autograd come
out right.

**Cost** per layer of in x out weights, N rows, ranks r: the plain step takes 6 N in out flops; the
sums H cost 2 N (in r_in + out r_out), J as much again on the updating steps (one in four); applying
P costs 4 in out (r_in + r_out), without N. With in = out = 1024 and ranks 20/80 that is
3.3 % + 0.8 % of the plain step.

**When the estimate is updated**: always for the first 10 updates, then on every `update_period`-th
call; calls made while frozen do not count (Kaldi of 2017, the paper's code; the 2025 code counts
them and starves under backstitch with interval 1).

Source: nnet3/natural-gradient-online.{h,cc}; numbers and twin: tests/reference/natural_gradient.py.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import torch
from torch import Tensor

from chainstitch.nnet.layers.precision import widened
from chainstitch.nnet.optim.across_ranks import add_up
from chainstitch.nnet.optim.fisher_update import EPSILON, finish_together, update
from chainstitch.utils.arguments import check_numbers

logger = logging.getLogger(__name__)

NUM_INITIAL_UPDATES = 10  # updates made without skipping, while the estimate is young
BOUNDS = {
    "rank": "whole [1, inf)", "update_period": "whole [1, inf)", "num_samples_history": "(0, inf)",
    "num_minibatches_history": "(1, inf)", "alpha": "[0, inf)",
}  # fmt: skip


class OnlineNaturalGradient:
    """One side's Fisher estimate, and preconditioning with it.

    Args:
        rank: number of directions kept exactly; reduced to dim - 1 with a warning if it is not
            less.
        update_period: the estimate is updated on every `update_period`-th call.
        num_samples_history: time constant of forgetting, in rows: eta = 1 - exp(-rows / this).
        num_minibatches_history: if given, eta = 1 / this instead.
        alpha: how much of the average eigenvalue smooths the estimate, (2).

    Attributes:
        w: (rank, dim) Diag(e)^1/2 R; None before the first call.
        rho: scalar tensor; d: (rank,).
        frozen: while true the estimate is used but not updated (nor do calls count).
        rows, trace, l, j: the sums of this minibatch so far: number of rows, tr(X X^T), L, J.
        group: process group over whose processes the rows are spread, or None.
        num_floored, num_reorthogonalised, num_nonfinite: how often the numerics had to be mended,
            or a minibatch with an inf or NaN was kept out of the estimate.

    Raises:
        TypeError, ValueError: a number that is none, not finite or out of bounds.
    """

    def __init__(
        self,
        rank: int,
        update_period: int = 4,
        num_samples_history: float = 2000.0,
        num_minibatches_history: float | None = None,
        alpha: float = 4.0,
    ) -> None:
        check_numbers(
            "natural gradient", BOUNDS, rank=rank, update_period=update_period,
            num_samples_history=num_samples_history, alpha=alpha,
        )  # fmt: skip
        if num_minibatches_history is not None:
            check_numbers(
                "natural gradient", BOUNDS, num_minibatches_history=num_minibatches_history
            )
        self.rank = rank
        self.update_period = update_period
        self.num_samples_history = num_samples_history
        self.num_minibatches_history = num_minibatches_history
        self.alpha = alpha
        self.frozen = False
        self.group: Any = None
        self.w: Tensor | None = None
        self.rho = torch.tensor(EPSILON)
        self.d = torch.empty(0)
        self.num_updates = 0
        self.num_skipped = 0
        self.num_floored = 0
        self.num_reorthogonalised = 0
        self.num_nonfinite = 0
        self.trace: Tensor
        self.l: Tensor
        self.j: Tensor
        self.clear()

    # -- the two-call form that NaturalGradient uses -----------------------------------------------

    def observe(self, x: Tensor, ones: bool = False) -> Tensor | None:
        """Adds rows x (rows, dim) to this minibatch's sums; `ones` appends a column of ones.

        Returns H = X W^T (rows, rank), or None where there is nothing to precondition (dim 1).
        """
        x = widened(x.detach())
        if self.w is None:
            self._initialise(_with_ones(x) if ones else x)
        w = self.w
        assert w is not None
        self.rows += x.shape[0]
        if not w.numel():
            return None
        # as the transpose of W X^T, which is faster where the rank is small
        h = (torch.addmm(w[:, -1:], w[:, :-1], x.t()) if ones else w @ x.t()).t()
        squares = torch.linalg.vector_norm(x).square()
        self.trace = self.trace + squares + (x.shape[0] if ones else 0)
        self.l = self.l + h.t() @ h
        if self.will_update():
            j = h.t() @ x
            self.j = self.j + (torch.cat([j, h.sum(0)[:, None]], 1) if ones else j)
        return h

    def gamma(self) -> Tensor:
        """The factor (4) of the rows observed in this minibatch."""
        w = self.w
        assert w is not None and self.rows
        if not w.numel():
            return torch.ones_like(self.rho)
        left = self.trace - 2 * self.l.trace() + (self.l * (w @ w.t())).sum()
        return _gamma(self.trace, left)

    def finish(self) -> None:
        """Ends the minibatch: updates the estimate if it is due, and clears the sums."""
        finish_together([self])

    def will_update(self) -> bool:
        """Whether the current call is one that updates the estimate."""
        due = self.num_updates < NUM_INITIAL_UPDATES or self.num_skipped >= self.update_period - 1
        return due and not self.frozen

    # -- the direct form ---------------------------------------------------------------------------

    def precondition(self, x: Tensor) -> Tensor:
        """gamma X_hat for x (rows, dim): same shape and Frobenius norm; then updates the estimate.

        >>> side = OnlineNaturalGradient(rank=2)
        >>> x = torch.randn(100, 5) * torch.tensor([10.0, 1, 1, 1, 1])
        >>> torch.allclose(side.precondition(x).norm(), x.norm(), rtol=1e-4)
        True
        """
        if x.dim() != 2 or not x.shape[1] or not x.is_floating_point() or x.is_sparse:
            raise ValueError(
                f"precondition wants (rows, dim) of floats, got a tensor of shape {tuple(x.shape)} "
                f"of {x.dtype}, {x.layout}"
            )
        if self.w is not None and self.w.shape[1] != x.shape[1]:
            raise ValueError(
                f"precondition wants (rows, {self.w.shape[1]}), as before, got {tuple(x.shape)}"
            )
        x_hat, gamma = self.project(x)
        self.finish()
        return x_hat * gamma

    def project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """X_hat of (3) and gamma of (4) for x (rows, dim), not multiplied; `finish` follows."""
        h = self.observe(x) if x.shape[0] else None
        if h is None:
            return x.clone(), x.new_ones(())
        assert self.w is not None
        x_hat = torch.addmm(x, h, self.w, alpha=-1)
        squares, left = torch.linalg.vector_norm(x), torch.linalg.vector_norm(x_hat)
        return x_hat, _gamma(squares.square(), left.square())

    # -- the estimate ------------------------------------------------------------------------------

    def clear(self) -> None:
        """Drops the sums."""
        self.rows = 0
        self.trace = torch.zeros(())
        self.l = torch.zeros(())
        self.j = torch.zeros(())

    def eta(self, rows: int) -> float:
        """The forgetting factor for a minibatch of so many rows."""
        if self.num_minibatches_history is not None:
            return 1.0 / self.num_minibatches_history
        return min(0.9, 1.0 - math.exp(-rows / self.num_samples_history))

    def _initialise(self, x: Tensor) -> None:
        """Starts from a fixed sparse orthonormal R and updates three times on the first rows."""
        rows, dim = x.shape
        self.rho = torch.full((), EPSILON, dtype=x.dtype, device=x.device)
        if dim == 1:
            self.w, self.d = x.new_empty(0, 1), x.new_empty(0)
            return
        if self.rank >= dim:
            logger.warning(
                "natural gradient: rank %d is not less than the dimension %d; using %d",
                self.rank, dim, dim - 1,
            )  # fmt: skip
            self.rank = dim - 1
        rank = self.rank
        columns = torch.arange(dim, device=x.device)
        r = torch.zeros(rank, dim, dtype=x.dtype, device=x.device)
        r[columns % rank, columns] = 1.0
        # 1.1: were all entries of a row equal, an input whose columns sum to zero (the derivative
        # of a softmax) would be exactly orthogonal to a row and the row would never move.
        r[columns[:rank], columns[:rank]] = 1.1
        r /= r.norm(dim=1, keepdim=True)
        self.w = r / math.sqrt(2.0 + (dim + rank) * self.alpha / dim)
        self.d = torch.full((rank,), EPSILON, dtype=x.dtype, device=x.device)
        for _ in range(3):
            h = x @ self.w.t()
            self.rows, self.trace = rows, torch.linalg.vector_norm(x).square()
            self.l, self.j = h.t() @ h, h.t() @ x
            if self.group is not None:
                add_up([self], self.group, with_j=True)
            update([self])
            if self.rows <= rank:
                break
        self.clear()

    # -- state -------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers only; loads with weights_only=True."""
        return {
            "w": self.w, "rho": self.rho, "d": self.d,
            "num_updates": self.num_updates, "num_skipped": self.num_skipped,
            "num_floored": self.num_floored, "num_reorthogonalised": self.num_reorthogonalised,
            "num_nonfinite": self.num_nonfinite,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave; the sums of an unfinished minibatch are dropped.

        Raises:
            ValueError: it is something else.
        """
        w, d = state.get("w"), state.get("d")
        if set(state) - set(self.state_dict()) or (
            isinstance(w, Tensor) and not (isinstance(d, Tensor) and d.shape == w.shape[:1])
        ):
            raise ValueError(f"natural gradient: no state of it, found one of {', '.join(state)}")
        for name, value in state.items():
            setattr(self, name, value.clone() if isinstance(value, Tensor) else value)
        if self.w is not None and self.w.numel():
            self.rank = self.w.shape[0]
        self.clear()


def _gamma(before: Tensor, after: Tensor) -> Tensor:
    return torch.where(after > 0, (before / after.clamp(min=1e-38)).sqrt(), torch.ones_like(before))


def _with_ones(x: Tensor) -> Tensor:
    return torch.cat([x, x.new_ones(x.shape[0], 1)], 1)
