"""The LF-MMI objective: log Z_num - log Z_den per sequence, and its derivative.

    F = sum over sequences of weight ( log Z_num - log Z_den )
    dF / dy_t(n) = weight ( gamma_num_t(n) - gamma_den_t(n) )

plus Kaldi's output l2, - 1/2 l2 ||y||^2 over the valid frames, which keeps the outputs in a sane
range. Everything is *summed*, not averaged. Source: Kaldi chain-training.cc,
ComputeChainObjfAndDeriv.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import NonFiniteError, counted
from chainstitch.nnet.chain.numerator import NumeratorBatch, numerator_forward_backward

logger = logging.getLogger(__name__)


class ChainLoss(nn.Module):
    """Minus the summed LF-MMI objective of a minibatch.

    Args:
        denominator: the graph, shared by all sequences.
        leaky: lambda of the leaky HMM.
        output_l2: weight of the output penalty.
        backend: see `forward_backward`. The first result of "k2" is checked against "cpu".

    Attributes:
        objective: (batch,) float64, log Z_num - log Z_den of the last call, unweighted, on the
            host.
        redone: sequences of the last call whose denominator went to the log domain.
        l2_term: the last call's penalty, a detached scalar tensor (not part of `objective`).
    """

    def __init__(
        self,
        denominator: DenominatorGraph,
        leaky: float = 0.1,
        output_l2: float = 5e-5,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.denominator = denominator
        self.leaky = leaky
        self.output_l2 = output_l2
        self.backend = backend
        self._unchecked = backend == "k2"
        self.objective = torch.empty(0, dtype=torch.float64)
        self.redone = 0
        self.l2_term = torch.zeros(())

    def forward(
        self,
        log_likes: Tensor,
        lengths: Tensor,
        numerators: NumeratorBatch,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar to minimise.

        Args:
            log_likes: (batch, frames, pdfs), the network's output.
            lengths: (batch,) valid frames.
            numerators: one graph per sequence.
            weights: (batch,) optional weight of each sequence.

        Raises:
            ValueError: shapes do not fit, or a sequence that its transcript cannot be aligned to
                (too few frames); nothing is masked silently.
            NonFiniteError: non-finite network output.
            UnusableError: a ValueError; the back end is "k2", and k2 is not there or wrong.
        """
        value: Tensor
        objective: Tensor
        value, objective, self.redone = _ChainFunction.apply(  # type: ignore[no-untyped-call]
            log_likes, lengths, numerators, weights, self.denominator, self.leaky, self.backend,
            self._unchecked,
        )  # fmt: skip
        self._unchecked = False
        self.objective = objective.detach().cpu()
        if self.output_l2:
            frames = torch.arange(log_likes.shape[1], device=log_likes.device)
            valid = frames[None, :] < lengths.to(log_likes.device)[:, None]
            squares = (log_likes.square().sum(2) * valid).sum(1)
            if weights is not None:
                squares = squares * weights.to(squares)
            penalty = 0.5 * self.output_l2 * squares.sum()
            self.l2_term = penalty.detach()
            value = value + penalty
        return value


class _ChainFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        log_likes: Tensor,
        lengths: Tensor,
        numerators: NumeratorBatch,
        weights: Tensor | None,
        denominator: DenominatorGraph,
        leaky: float,
        backend: str,
        check: bool,
    ) -> tuple[Tensor, Tensor, int]:
        try:
            den, gradient, redone = counted(denominator, log_likes, lengths, leaky, backend)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"chain loss: the network's output for {numerators.called(error.sequences)} has no "
                "finite denominator: it holds a NaN or an infinity",
                error.sequences,
            ) from None
        if check:
            from chainstitch.nnet.chain import via_k2

            difference = via_k2.compare(denominator, log_likes, lengths, den, gradient)
            logger.info("k2 agrees with the cpu back end: posteriors to %.0e", difference)
        num, num_posteriors = numerator_forward_backward(numerators, log_likes, lengths)
        if not torch.isfinite(num).all():
            bad = (~torch.isfinite(num)).nonzero().flatten().tolist()
            raise ValueError(
                f"chain loss: {numerators.called(bad)} cannot carry their transcripts "
                f"({lengths[bad].tolist()} output frames); drop or lengthen them"
            )
        gradient -= num_posteriors
        objective = num - den
        if weights is None:
            loss = -objective.sum()
        else:
            w = weights.to(objective)
            loss = -(objective * w).sum()
            gradient *= w.to(gradient)[:, None, None]
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(objective)
        return loss.to(log_likes.dtype), objective, redone

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_loss, None, None, None, None, None, None, None
