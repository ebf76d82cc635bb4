"""Optimisers of the papers, as parts that drop into any PyTorch loop."""

from chainstitch.nnet.optim.backstitch import Backstitch
from chainstitch.nnet.optim.max_change import limit_change
from chainstitch.nnet.optim.natural_gradient import NaturalGradient
from chainstitch.nnet.optim.online_natural_gradient import OnlineNaturalGradient
from chainstitch.nnet.optim.sgd import SGD

__all__ = ["SGD", "Backstitch", "NaturalGradient", "OnlineNaturalGradient", "limit_change"]
