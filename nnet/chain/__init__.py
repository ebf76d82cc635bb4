"""LF-MMI: graphs, exact forward-backward and the loss. Needs no compiler and no k2."""

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.denominator_composition import denominator_from_phone_lm
from chainstitch.nnet.chain.forward_backward import forward_backward
from chainstitch.nnet.chain.loss import ChainLoss
from chainstitch.nnet.chain.numerator import (
    NumeratorBatch,
    NumeratorCompiler,
    NumeratorGraph,
    numerator_forward_backward,
)
from chainstitch.nnet.chain.phone_lm import PhoneLM, estimate_phone_lm
from chainstitch.utils.hmm.pdf_acceptor import PdfAcceptor, pdf_acceptor
from chainstitch.utils.hmm.phone_graph import PhoneGraph, phone_graph
from chainstitch.utils.hmm.timed_acceptor import aligned_acceptor
from chainstitch.utils.hmm.topology import Leaves, monophones

__all__ = [
    "ChainLoss", "DenominatorGraph", "Leaves", "NumeratorBatch", "NumeratorCompiler",
    "NumeratorGraph", "PdfAcceptor", "PhoneGraph", "PhoneLM", "aligned_acceptor",
    "denominator_from_phone_lm", "estimate_phone_lm", "forward_backward", "monophones",
    "numerator_forward_backward", "pdf_acceptor", "phone_graph",
]  # fmt: skip
