"""What a loss is (outcome.py), and losses other than LF-MMI."""

from chainstitch.nnet.loss.activation import ActivationPenalty
from chainstitch.nnet.loss.classes import ClassLoss
from chainstitch.nnet.loss.frame import FrameLabels, FrameLoss
from chainstitch.nnet.loss.outcome import Loss, LossSum, Outcome, Outputs

__all__ = [
    "ActivationPenalty", "ClassLoss", "FrameLabels", "FrameLoss", "Loss", "LossSum", "Outcome",
    "Outputs",
]  # fmt: skip
