"""Cross-entropy of images by class, whose figures stay on the device."""

from __future__ import annotations

from torch import Tensor, nn

from chainstitch.nnet.loss.outcome import Outcome, Outputs


class ClassLoss(nn.Module):
    """Minus the log-probability of the labels, summed over images.

    Nothing here waits for the device. A minibatch whose output is not finite has a loss that is not
    finite, so the optimiser skips its update (optim/sgd.py) and counts it.
    """

    taps: tuple[str, ...] = ()

    def outcome(self, outputs: Outputs, targets: Tensor) -> Outcome:
        """The log-probability of each label; figure `accuracy`.

        Args:
            outputs: `main` (batch, classes) before the softmax.
            targets: (batch,) labels.
        """
        scores = outputs.main
        each = nn.functional.cross_entropy(scores.float(), targets, reduction="none")
        right = (scores.detach().argmax(1) == targets).sum()
        return Outcome(each.sum(), -each.detach(), len(targets), {"accuracy": right})

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar to minimise, of (batch, classes) outputs before the softmax."""
        return self.outcome(Outputs(outputs), labels).value
