"""What k2 computed, compared with the cpu back end: not every build of k2 computes the same."""

from __future__ import annotations

from torch import Tensor

from chainstitch.nnet.chain.denominator import DenominatorGraph
from chainstitch.nnet.chain.forward_backward import counted
from chainstitch.nnet.loss.nonfinite import NonFiniteError
from chainstitch.utils.log import package_version
from chainstitch.utils.optional import UnusableError

LOG_Z_TOLERANCE = 1e-5  # relative, absolute below 1
POSTERIOR_TOLERANCE = 1e-4


def compare(
    graph: DenominatorGraph, log_likes: Tensor, lengths: Tensor, log_z: Tensor, posteriors: Tensor
) -> float:
    """The largest difference of k2's posteriors from cpu.py's.

    Raises:
        UnusableError: they or log Z are not the same: that k2 computes something else.
    """
    advice = "set chain.backend to cpu, and report this with what `chainstitch doctor` says"
    version = package_version("k2") or "of unknown version"
    try:
        wanted_z, wanted, _ = counted(graph, log_likes, lengths, 0.0, "cpu")
    except NonFiniteError as error:
        raise UnusableError(
            f"k2 {version} has finite log Z {log_z[error.sequences].tolist()} where backend 'cpu' "
            f"has none, for sequences {error.sequences}; {advice}"
        ) from None
    excess = (log_z - wanted_z).abs() / wanted_z.abs().clamp(min=1.0)
    worst = int(excess.argmax())
    difference = (posteriors - wanted).abs()
    if not (
        bool(excess.max() <= LOG_Z_TOLERANCE) and bool(difference.max() <= POSTERIOR_TOLERANCE)
    ):
        place = int(difference.argmax())
        raise UnusableError(
            f"k2 {version} and backend 'cpu' do not agree: log Z of sequence {worst} is "
            f"{float(log_z[worst]):.8g} by k2, {float(wanted_z[worst]):.8g} by cpu (wanted within "
            f"{LOG_Z_TOLERANCE:g} of it); the posteriors that differ most are "
            f"{float(posteriors.flatten()[place]):.6f} and {float(wanted.flatten()[place]):.6f} "
            f"(wanted within {POSTERIOR_TOLERANCE:g}); {advice}"
        )
    return float(difference.max())
