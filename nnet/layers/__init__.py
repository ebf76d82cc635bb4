"""Layers: what is not in torch.nn as Kaldi has it."""

from chainstitch.nnet.layers.affine import Affine
from chainstitch.nnet.layers.augment import FreqWarp, PerSequence, SpecAugment
from chainstitch.nnet.layers.idct import InverseDCT
from chainstitch.nnet.layers.lstmp import FastLSTMP, LSTMPRows, Peepholes
from chainstitch.nnet.layers.normalise import BatchNorm, Renorm

__all__ = [
    "Affine",
    "BatchNorm",
    "FastLSTMP",
    "FreqWarp",
    "InverseDCT",
    "LSTMPRows",
    "Peepholes",
    "PerSequence",
    "Renorm",
    "SpecAugment",
]
