"""Cross-entropy of images by class, whose figures stay on the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

NONFINITE = -10.0  # what an image counts for whose output is not finite


class ClassLoss(nn.Module):
    """Minus the log-probability of the labels, summed over images.

    Nothing here waits for the device. A minibatch whose output is not finite has a loss that is not
    finite, so the optimiser skips its update (optim/sgd.py) and counts it.

    Attributes:
        objective: (batch,) log-probability of each label in the last call.
        right: () images of the last call whose likeliest class was the label.
        wants_xent: False: there is one output.
    """

    wants_xent = False

    def __init__(self) -> None:
        super().__init__()
        self.objective = torch.empty(0)
        self.right = torch.zeros(())

    def sums(self) -> dict[str, float | Tensor]:
        """The last call's figures: objf, how many were right, whether any was not finite."""
        finite = torch.isfinite(self.objective)
        return {
            "objf": torch.where(finite, self.objective, NONFINITE).sum(),
            "right": self.right,
            "nonfinite": (~finite).any(),
        }

    def forward(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """The loss, a scalar to minimise, of (batch, classes) outputs before the softmax."""
        each = nn.functional.cross_entropy(outputs.float(), labels, reduction="none")
        self.objective = -each.detach()
        self.right = (outputs.detach().argmax(1) == labels).sum()
        loss: Tensor = each.sum()
        return loss
