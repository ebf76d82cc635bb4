"""Cross-entropy frame by frame: log softmax of the output at the pdf that the alignment says.

    F = sum over sequences and frames t of log softmax(y_t)(label_t)

Summed, not averaged, as everything is here. A label is the pdf of the phone in the middle of the
output frame: its entry pdf in the phone's first output frame, its loop pdf in the others. A phone
that is too short to be in the middle of any output frame has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.hmm.topology import Leaves, in_context

NO_LABEL = -100  # past a sequence's end; torch's own choice


@dataclass(frozen=True)
class FrameLabels:
    """pdfs: (batch, frames) int64, NO_LABEL past the end; `names`, if known, are for messages."""

    pdfs: Tensor
    names: Sequence[str] = ()


def frame_labels(
    phones: Sequence[int], durations: Sequence[int], leaves: Leaves, subsampling: int = 3
) -> np.ndarray:
    """(output frames,) the pdf of each, by an alignment in input frames."""
    frames = -(-sum(durations) // subsampling)
    middle = np.minimum(np.arange(frames) * subsampling + subsampling // 2, sum(durations) - 1)
    which = np.searchsorted(np.cumsum(durations), middle, side="right")
    contexts = in_context(phones)
    begins = np.diff(which, prepend=-1) > 0
    return np.array(
        [
            (leaves.entry if begin else leaves.loop)(*contexts[i])
            for i, begin in zip(which.tolist(), begins, strict=True)
        ],
        np.int64,
    )


class FrameLoss(nn.Module):
    """Minus the summed log-probability of the labels.

    Attributes:
        objective: (batch,) float64, of the last call, on the host.
        right: frames of the last call at which the label was the likeliest pdf.
        wants_xent: False: there is one output.
    """

    wants_xent = False

    def __init__(self) -> None:
        super().__init__()
        self.objective = torch.empty(0, dtype=torch.float64)
        self.right = 0

    def sums(self) -> dict[str, float]:
        """The last call's figures: objf, and how many frames were right."""
        return {"objf": float(self.objective.sum()), "right": float(self.right)}

    def forward(self, outputs: Tensor, lengths: Tensor, labels: FrameLabels) -> Tensor:
        """The loss, a scalar to minimise.

        Args:
            outputs: (batch, frames, pdfs) before the softmax; lengths: (batch,) valid frames.

        Raises:
            ValueError: the labels do not fit.
            NonFiniteError: non-finite network output.
        """
        wanted = (labels.pdfs != NO_LABEL).sum(1)
        if labels.pdfs.shape != outputs.shape[:2] or not torch.equal(wanted, lengths.cpu()):
            raise ValueError(
                f"frame loss: outputs {tuple(outputs.shape)} of lengths {lengths.tolist()} for "
                f"labels of lengths {wanted.tolist()}"
            )
        pdfs = labels.pdfs.to(outputs.device)
        each = nn.functional.cross_entropy(
            outputs.transpose(1, 2), pdfs, ignore_index=NO_LABEL, reduction="none"
        )
        by_sequence: Any = each.sum(1)
        self.objective = -by_sequence.detach().double().cpu()
        if not torch.isfinite(self.objective).all():
            bad = (~torch.isfinite(self.objective)).nonzero().flatten().tolist()
            names = [labels.names[i] for i in bad] if labels.names else bad
            raise NonFiniteError(
                f"frame loss: the network's output for {', '.join(map(str, names[:5]))} holds a "
                "NaN or an infinity",
                bad,
            )
        self.right = int((outputs.detach().argmax(2) == pdfs).sum())
        loss: Tensor = by_sequence.sum()
        return loss
