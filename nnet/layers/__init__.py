"""Layers: what is not in torch.nn as Kaldi has it."""

from chainstitch.nnet.layers.affine import Affine
from chainstitch.nnet.layers.augment import FreqWarp, PerSequence, SpecAugment
from chainstitch.nnet.layers.idct import InverseDCT
from chainstitch.nnet.layers.lstmp import FastLSTMP, Peepholes
from chainstitch.nnet.layers.normalise import BatchNorm, Renorm

__all__ = [
    "Affine",
    "BatchNorm",
    "FastLSTMP",
    "FreqWarp",
    "InverseDCT",
    "Peepholes",
    "PerSequence",
    "Renorm",
    "SpecAugment",
]
