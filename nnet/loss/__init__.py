"""Losses other than LF-MMI."""

from chainstitch.nnet.loss.frame import FrameLabels, FrameLoss

__all__ = ["FrameLabels", "FrameLoss"]
