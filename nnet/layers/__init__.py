"""Layers: what is not in torch.nn as Kaldi has it."""

from chainstitch.nnet.layers.affine import Affine
from chainstitch.nnet.layers.augment import FreqWarp, PerSequence, SpecAugment
from chainstitch.nnet.layers.dropout import GateDropout, HasProportion, SharedDropout
from chainstitch.nnet.layers.fixed_affine import FixedAffine
from chainstitch.nnet.layers.idct import InverseDCT
from chainstitch.nnet.layers.linear import Linear
from chainstitch.nnet.layers.lstm_rows import LSTMPRows
from chainstitch.nnet.layers.lstmp import FastLSTM, FastLSTMP, Peepholes
from chainstitch.nnet.layers.normalise import BatchNorm, BatchNorm2d, Renorm
from chainstitch.nnet.layers.relu import RepairedReLU
from chainstitch.nnet.layers.slow_lstmp import LSTMP

__all__ = [
    "LSTMP",
    "Affine",
    "BatchNorm",
    "BatchNorm2d",
    "FastLSTM",
    "FastLSTMP",
    "FixedAffine",
    "FreqWarp",
    "GateDropout",
    "HasProportion",
    "InverseDCT",
    "LSTMPRows",
    "Linear",
    "Peepholes",
    "PerSequence",
    "Renorm",
    "RepairedReLU",
    "SharedDropout",
    "SpecAugment",
]
