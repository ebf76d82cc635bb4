"""Networks."""

from chainstitch.nnet.nets.network import Network
from chainstitch.nnet.nets.xconfig import parse_xconfig

__all__ = ["Network", "parse_xconfig"]
