"""Losses other than LF-MMI."""

from chainstitch.nnet.loss.classes import ClassLoss
from chainstitch.nnet.loss.frame import FrameLabels, FrameLoss

__all__ = ["ClassLoss", "FrameLabels", "FrameLoss"]
