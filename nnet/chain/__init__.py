"""LF-MMI: graphs, exact forward-backward and the loss. Needs no compiler and no k2."""

from chainstitch.nnet.chain.denominator import DenominatorGraph, denominator_from_phone_lm
from chainstitch.nnet.chain.forward_backward import forward_backward
from chainstitch.nnet.chain.loss import ChainLoss
from chainstitch.nnet.chain.numerator import (
    NumeratorBatch,
    NumeratorCompiler,
    NumeratorGraph,
    PhoneGraph,
    numerator_forward_backward,
    phone_graph,
)
from chainstitch.nnet.chain.phone_lm import PhoneLM, estimate_phone_lm

__all__ = [
    "ChainLoss", "DenominatorGraph", "NumeratorBatch", "NumeratorCompiler", "NumeratorGraph",
    "PhoneGraph", "PhoneLM", "denominator_from_phone_lm", "estimate_phone_lm", "forward_backward",
    "numerator_forward_backward", "phone_graph",
]  # fmt: skip
