"""Cross-entropy frame by frame: log softmax of the output at the pdf that the alignment says.

    F = sum over sequences and frames t of log softmax(y_t)(label_t)

Summed, not averaged, as everything is here. A label is the pdf of the phone in the middle of the
output frame: its entry pdf in the phone's first output frame, its loop pdf in the others. A phone
that is too short to be in the middle of any output frame has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.nnet.loss.outcome import Outcome, Outputs
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
    """Minus the summed log-probability of the labels."""

    taps: tuple[str, ...] = ()

    def forward(self, outputs: Tensor, lengths: Tensor, labels: FrameLabels) -> Tensor:
        """The loss, a scalar to minimise; arguments and errors as of `outcome`."""
        return self.outcome(Outputs(outputs, lengths), labels).value

    def outcome(self, outputs: Outputs, targets: FrameLabels) -> Outcome:
        """The log-probabilities; figure `accuracy`, of frames whose label was the likeliest pdf.

        Args:
            outputs: `main` (batch, frames, pdfs) before the softmax, and `lengths`.
            targets: a label for every valid frame.

        Raises:
            ValueError: the labels do not fit.
            NonFiniteError: non-finite network output.
        """
        scores, lengths = outputs.main, outputs.lengths
        wanted = (targets.pdfs != NO_LABEL).sum(1)
        if (
            lengths is None
            or targets.pdfs.shape != scores.shape[:2]
            or (not torch.equal(wanted, lengths.cpu()))
        ):
            raise ValueError(
                f"frame loss: outputs {tuple(scores.shape)} of lengths "
                f"{None if lengths is None else lengths.tolist()} for labels of lengths "
                f"{wanted.tolist()}"
            )
        pdfs = targets.pdfs.to(scores.device)
        each = nn.functional.cross_entropy(
            scores.transpose(1, 2), pdfs, ignore_index=NO_LABEL, reduction="none"
        )
        by_sequence: Tensor = each.sum(1)
        objective = -by_sequence.detach().double().cpu()
        if not torch.isfinite(objective).all():
            bad = (~torch.isfinite(objective)).nonzero().flatten().tolist()
            names = [targets.names[i] for i in bad] if targets.names else bad
            raise NonFiniteError(
                f"frame loss: the network's output for {', '.join(map(str, names[:5]))} holds a "
                "NaN or an infinity",
                bad,
            )
        right = float((scores.detach().argmax(2) == pdfs).sum())
        return Outcome(by_sequence.sum(), objective, int(wanted.sum()), {"accuracy": right})
