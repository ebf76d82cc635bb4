"""What every graph has to be before a kernel reads it: the kernels look at no index twice.

A denominator is checked when it is made, from whatever it is made: arcs of one's own, den.npz,
den.fst. A numerator likewise. All that is found wrong is a ValueError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from chainstitch.utils.hmm.topology import Leaves

# states or pdfs of a denominator: a hundred times the largest that can be trained with, so that a
# number that got among them by mistake is found before memory is asked for that many
MOST = 2**22
# arcs' probabilities: kernels have them in float32, where those below vanish one by one, and above
# 1 there is little reason to be (not all graphs are normalised)
LEAST_PROBABILITY, MOST_PROBABILITY = 1e-30, 1e6
SUM_TOLERANCE = 1e-4  # of the initial probabilities from one


def whole_numbers(name: str, values: Any) -> Tensor:
    """Numbers of states or pdfs as an int64 vector on the host.

    Raises:
        ValueError: they are no whole numbers, no vector, negative or beyond MOST.
    """
    tensor = _on_host(values)
    if tensor.dtype == torch.bool or tensor.is_floating_point() or tensor.is_complex():
        raise ValueError(f"denominator graph: {name} wants whole numbers, found {tensor.dtype}")
    tensor = tensor.long()
    if tensor.dim() != 1:
        raise ValueError(f"denominator graph: {name} wants a vector, found {tuple(tensor.shape)}")
    if len(tensor) and not 0 <= int(tensor.min()) <= int(tensor.max()) < MOST:
        raise ValueError(
            f"denominator graph: states and pdfs are numbered from 0, and below {MOST}; {name} has "
            f"{int(tensor.min())}..{int(tensor.max())}"
        )
    return tensor


def numbers(name: str, values: Any, least: float, most: float) -> Tensor:
    """Probabilities as a float64 vector on the host.

    Raises:
        ValueError: they are no numbers, no vector, not finite or out of least..most.
    """
    tensor = _on_host(values)
    if tensor.dtype == torch.bool or tensor.is_complex():
        raise ValueError(f"denominator graph: {name} wants numbers, found {tensor.dtype}")
    tensor = tensor.double()
    if tensor.dim() != 1:
        raise ValueError(f"denominator graph: {name} wants a vector, found {tuple(tensor.shape)}")
    wrong = ~((tensor >= least) & (tensor <= most))  # NaN, too
    if bool(wrong.any()):
        at = int(wrong.nonzero()[0])
        raise ValueError(
            f"denominator graph: {name} wants probabilities (linear, finite) in {least:g}..{most:g}"
            f", found {float(tensor[at]):g} in place {at}"
        )
    return tensor


def _on_host(values: Any) -> Tensor:
    if isinstance(values, Tensor):
        return values.detach().cpu()
    return torch.from_numpy(np.array(values))  # of a list, in float64


def check_count(name: str, value: Any, least: int) -> int:
    """A number of states or pdfs, or of one state.

    Raises:
        ValueError: it is no whole number, below `least` or beyond MOST.
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= MOST:
        raise ValueError(
            f"denominator graph: {name} wants a whole number from {least} to {MOST}, found "
            f"{value!r:.80}"
        )
    return int(value)


def check_arcs(src: Tensor, dst: Tensor, pdf: Tensor, prob: Tensor) -> None:
    """Raises ValueError unless they are equally long, and not empty."""
    shapes = [tuple(t.shape) for t in (src, dst, pdf, prob)]
    if len(set(shapes)) > 1 or not len(src):
        raise ValueError(
            "denominator graph: src, dst, pdf and prob must be equally long, non-empty vectors; "
            f"got {shapes}"
        )


def check_denominator(
    src: Tensor, dst: Tensor, pdf: Tensor, prob: Tensor, initial: Tensor, final: Tensor, start: int,
    num_pdfs: int, phones: Sequence[str], leaves: Leaves | None,
) -> None:  # fmt: skip
    """Raises ValueError unless what was checked one by one, by the above, also fits together."""
    check_arcs(src, dst, pdf, prob)
    states = len(initial)
    highest = max(int(src.max()), int(dst.max()), start)
    if highest >= states:
        raise ValueError(
            f"denominator graph: state {highest} occurs, but there are initial probabilities of "
            f"{states} states"
        )
    if int(pdf.max()) >= num_pdfs:
        raise ValueError(
            f"denominator graph: num_pdfs is {num_pdfs}, but pdf {int(pdf.max())} occurs"
        )
    if len(final) != states:
        raise ValueError(
            f"denominator graph: final probabilities of {len(final)} states, initial ones of "
            f"{states}"
        )
    if abs(float(initial.sum()) - 1.0) > SUM_TOLERANCE:
        raise ValueError(
            f"denominator graph: initial probabilities add up to {float(initial.sum()):g}, not 1"
        )
    if leaves is not None and phones and leaves.num_phones != len(phones):
        raise ValueError(f"leaves of {leaves.num_phones} phones, names of {len(phones)}")
    if leaves is None and phones and num_pdfs != 2 * len(phones):
        raise ValueError(
            f"denominator graph: {num_pdfs} pdfs for {len(phones)} phones, which without leaves "
            "have two each"
        )


def check_numerator(
    src: np.ndarray, dst: np.ndarray, pdf: np.ndarray, log_prob: np.ndarray, final: np.ndarray,
    frames: int,
) -> None:  # fmt: skip
    """Raises ValueError unless states are 0..len(final) - 1, pdfs from 0 and weights finite."""
    numbers_ = (src, dst, pdf)
    if any(a.ndim != 1 or a.dtype.kind not in "iu" for a in numbers_) or final.ndim != 1:
        raise ValueError("numerator graph: src, dst and pdf want vectors of whole numbers")
    if not len(src) == len(dst) == len(pdf) == len(log_prob) or log_prob.ndim != 1:
        raise ValueError(
            "numerator graph: src, dst, pdf and log_prob must be equally long vectors; got "
            f"{[a.shape for a in (*numbers_, log_prob)]}"
        )
    if log_prob.dtype != np.float64 or final.dtype != np.bool_ or not len(final):
        raise ValueError(
            "numerator graph: log_prob wants float64, final bool, of one state or more; got "
            f"{log_prob.dtype} and {final.dtype}, {len(final)} states"
        )
    if frames < 0:
        raise ValueError(f"numerator graph: {frames} frames; wanted 0 or more")
    if not len(src):
        return
    for name, values, below in (
        ("src", src, len(final)), ("dst", dst, len(final)), ("pdf", pdf, MOST),
    ):  # fmt: skip
        if values.min() < 0 or values.max() >= below:
            raise ValueError(
                f"numerator graph: {name} must lie in 0..{below - 1}, got {values.min()}.."
                f"{values.max()}"
            )
    if not np.isfinite(log_prob).all():
        raise ValueError("numerator graph: a weight that is not finite")
