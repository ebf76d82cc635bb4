"""The LF-MMI objective: log Z_num - log Z_den per sequence, and its derivative.

    F = sum over sequences of weight ( log Z_num - log Z_den )                                  (1)
    dF / dy_t(n) = weight ( gamma_num_t(n) - gamma_den_t(n) )

Everything is *summed*, not averaged. Three terms go with it:

    - 1/2 l2 sum ||y_t||^2                          keeps the outputs in a sane range           (2)
    - 1/2 r sum ||y_t - clip(y_t, -30, 30)||^2      the same only beyond +-30                   (3)
    + x sum over t, n of gamma_num_t(n) log softmax(z_t)(n)    cross-entropy                    (4)

over valid frames, by sequence weight. (3) is an option: our forward-backward needs no range, while
Kaldi's does (there with twice r on every other minibatch, at random; r 0.01). In (4) z is a second
output layer, the xent branch, that is thrown away after training: gamma_num is taken as a soft
target, so that the layers below learn frame by frame as well. Its output layer learns at 0.5 / x
times the rate, so that what it learns does not depend on x.

Weights of *frames* scale derivatives and not values: of all four terms, with respect to y and z.

Source: Kaldi chain-training.cc, ComputeChainObjfAndDeriv; nnet-chain-training.cc, ProcessOutputs.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.chain.backends import BACKENDS
from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import LARGEST, check_arguments, counted
from chainstitch.nnet.chain.numerator import NumeratorBatch, numerator_forward_backward
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.nnet.loss.outcome import Outcome, Outputs
from chainstitch.utils.arguments import check_numbers

logger = logging.getLogger(__name__)

RANGE = 30.0  # of (3)
XENT = "output-xent"  # the name of the output layer z of (4)
BOUNDS = dict.fromkeys(("leaky", "output_l2", "xent_regularize", "out_of_range"), "[0, inf)")


class ChainLoss(nn.Module):
    """Minus the summed LF-MMI objective of a minibatch.

    Args:
        denominator: the graph, shared by all sequences.
        leaky: lambda of the leaky HMM.
        output_l2: l2 of (2).
        backend: see `forward_backward`. The first result of "k2" is checked against "cpu".
        xent_regularize: x of (4); Kaldi's recipes have 0.1 to 0.01. Its output layer, the tap
            XENT, wants `xent_learning_rate_factor`.
        out_of_range: r of (3).
    """

    def __init__(
        self,
        denominator: DenominatorGraph,
        leaky: float = 0.1,
        output_l2: float = 5e-5,
        backend: str = "auto",
        xent_regularize: float = 0.0,
        out_of_range: float = 0.0,
    ) -> None:
        super().__init__()
        check_numbers(
            "chain loss", BOUNDS, leaky=leaky, output_l2=output_l2,
            xent_regularize=xent_regularize, out_of_range=out_of_range,
        )  # fmt: skip
        if not isinstance(denominator, DenominatorGraph):
            raise TypeError(
                f"chain loss wants a DenominatorGraph, found {type(denominator).__name__}"
            )
        if backend not in BACKENDS:
            raise ValueError(f"chain loss: backend {backend!r} is not one of {', '.join(BACKENDS)}")
        self.denominator = denominator
        self.leaky = leaky
        self.output_l2 = output_l2
        self.backend = backend
        self._unchecked = backend == "k2"
        self.xent_regularize = xent_regularize
        self.out_of_range = out_of_range

    @property
    def taps(self) -> tuple[str, ...]:
        """The xent branch, if the loss has (4)."""
        return (XENT,) if self.xent_regularize else ()

    @property
    def xent_learning_rate_factor(self) -> float:
        """What the xent branch's output layer multiplies its learning rate by; 1 without (4)."""
        return 0.5 / self.xent_regularize if self.xent_regularize else 1.0

    def forward(
        self,
        log_likes: Tensor,
        lengths: Tensor,
        numerators: NumeratorBatch,
        weights: Tensor | None = None,
        frame_weights: Tensor | None = None,
        xent: Tensor | None = None,
    ) -> Tensor:
        """The loss, a scalar to minimise; `xent` is the tap, others and errors as of `outcome`."""
        taps = {} if xent is None else {XENT: xent}
        outputs = Outputs(log_likes, lengths, taps)
        return self.outcome(outputs, numerators, weights, frame_weights).value

    def outcome(
        self,
        outputs: Outputs,
        targets: NumeratorBatch,
        weights: Tensor | None = None,
        frame_weights: Tensor | None = None,
    ) -> Outcome:
        """The objective of each sequence, log Z_num - log Z_den, float64 on the host, unweighted.

        Figures: num_log_z and den_log_z, its two parts; output_l2, out_of_range and xent, the terms
        (2), (3) and (4) with their signs turned, as far as the loss has them. Divided by the frames
        they are those of Kaldi's logs. Count: log_domain, how many sequences' denominators went to
        the log domain.

        Args:
            outputs: `main` (batch, frames, pdfs) is y, `lengths` (batch,) say how many frames are
                valid; of `taps` XENT (batch, frames, pdfs) is z of (4), before the softmax, wanted
                if and only if xent_regularize > 0.
            targets: one numerator per sequence.
            weights: (batch,) optional weight of each sequence.
            frame_weights: (batch, frames) optional factor of each frame's derivatives.

        Raises:
            ValueError: shapes do not fit, or a sequence that its transcript cannot be aligned to
                (too few frames); nothing is masked silently.
            NonFiniteError: network output that is not finite, or so large that float64 cannot tell
                log Z_num from log Z_den.
            UnusableError: a ValueError; the back end is "k2", and k2 is not there or wrong.
        """
        log_likes, lengths, xent = outputs.main, outputs.lengths, outputs.taps.get(XENT)
        if lengths is None:
            raise ValueError("chain loss: the outputs' lengths are missing")
        if (xent is None) != (self.xent_regularize == 0):
            raise ValueError(
                f"chain loss: xent_regularize is {self.xent_regularize}, and the output of the "
                f"xent branch is {'missing' if xent is None else 'given'}; give both or neither"
            )
        check_arguments(log_likes, lengths, self.denominator.num_pdfs)
        for name, tensor, shape in (
            ("weights", weights, log_likes.shape[:1]),
            ("frame_weights", frame_weights, log_likes.shape[:2]),
            ("xent", xent, log_likes.shape),
        ):
            if tensor is not None and tensor.shape != shape:
                raise ValueError(
                    f"chain loss: {name} must be {tuple(shape)}, got {tuple(tensor.shape)}"
                )
        for name, tensor in (("weights", weights), ("frame_weights", frame_weights)):
            if tensor is None or tensor.device.type != "cpu":  # a GPU would be waited for
                continue
            if not bool(torch.isfinite(tensor).all()):
                raise ValueError(f"chain loss: {name} holds a NaN or an infinity")
        if frame_weights is not None:
            factors = frame_weights.to(log_likes)[:, :, None]
            log_likes = _GradientTimes.apply(log_likes, factors)  # type: ignore[no-untyped-call]
            if xent is not None:
                xent = _GradientTimes.apply(xent, factors)  # type: ignore[no-untyped-call]
        value: Tensor
        value, num_log_z, den_log_z, posteriors, redone = _ChainFunction.apply(  # type: ignore[no-untyped-call]
            log_likes, lengths, targets, weights, self.denominator, self.leaky, self.backend,
            self._unchecked,
        )  # fmt: skip
        self._unchecked = False
        # (batch, frames, 1): the sequence's weight, 0 past its end
        inside = torch.arange(log_likes.shape[1])[None, :] < lengths.cpu()[:, None]
        scale = inside.to(log_likes)[:, :, None]
        if weights is not None:
            scale = scale * weights.to(scale)[:, None, None]

        def penalty(factor: float, y: Tensor) -> Tensor:
            return 0.5 * factor * (y.square() * scale).sum()

        figures = {"num_log_z": float(num_log_z.sum()), "den_log_z": float(den_log_z.sum())}
        terms: dict[str, Tensor] = {}
        if self.output_l2:
            terms["output_l2"] = penalty(self.output_l2, log_likes)
        if self.out_of_range:
            beyond = log_likes - log_likes.clamp(-RANGE, RANGE)
            terms["out_of_range"] = penalty(self.out_of_range, beyond)
        if xent is not None:
            likely = posteriors * xent.log_softmax(2)
            terms["xent"] = -self.xent_regularize * (likely * scale).sum()
        for name, term in terms.items():
            figures[name] = float(term.detach())
            value = value + term
        return Outcome(
            value, num_log_z - den_log_z, int(lengths.sum()), figures, {"log_domain": redone}
        )


class _GradientTimes(torch.autograd.Function):
    """x, with its gradient times a factor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor) -> Tensor:
        ctx.save_for_backward(factor)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (factor,) = ctx.saved_tensors
        return gradient * factor, None


class _ChainFunction(torch.autograd.Function):
    """(1) with its sign turned; log Z of both graphs, on the host; gamma_num; how many redone."""

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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
        try:
            den, gradient, redone = counted(denominator, log_likes, lengths, leaky, backend)
        except NonFiniteError as error:
            raise NonFiniteError(
                f"chain loss: the network's output for {numerators.called(error.sequences)} has no "
                "finite denominator: it holds a NaN or an infinity",
                error.sequences,
            ) from None
        if check:
            from chainstitch.nnet.chain.k2_check import compare

            difference = compare(denominator, log_likes, lengths, den, gradient)
            logger.info("k2 agrees with the cpu back end: posteriors to %.0e", difference)
        num, posteriors = numerator_forward_backward(numerators, log_likes, lengths, backend)
        if not (num.abs() <= LARGEST).all():
            bad = (num.isfinite() & (num.abs() > LARGEST)).nonzero().flatten().tolist()
            if bad:
                raise NonFiniteError(
                    f"chain loss: log Z of the network's output for {numerators.called(bad)} is "
                    f"beyond {LARGEST:g}: its numbers are too large for float64 to tell numerator "
                    "from denominator",
                    bad,
                )
            bad = (~torch.isfinite(num)).nonzero().flatten().tolist()
            raise ValueError(
                f"chain loss: {numerators.called(bad)} cannot carry their transcripts "
                f"({lengths[bad].tolist()} output frames); drop or lengthen them"
            )
        gradient -= posteriors
        objective = num - den
        if weights is None:
            loss = -objective.sum()
        else:
            w = weights.to(objective)
            loss = -(objective * w).sum()
            gradient *= w.to(gradient)[:, None, None]
        ctx.save_for_backward(gradient)
        num, den = num.cpu(), den.cpu()
        ctx.mark_non_differentiable(num, den, posteriors)
        return loss.to(log_likes.dtype), num, den, posteriors, redone

    @staticmethod
    def backward(ctx: Any, grad_loss: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * grad_loss, *[None] * 7
