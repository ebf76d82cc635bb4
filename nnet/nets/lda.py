"""The LDA-like transform of a network's first layer, from features and the class of every frame.

What a network reads first, frames spliced together with an i-vector, is strongly correlated, and
most of its variance says nothing about the classes (pdfs). A fixed affine layer y = M x + b mends
both. Unlike LDA it throws no dimension away; it makes those small that do not tell classes apart.

With n_c frames of class c, mean m_c, overall mean m, and per-frame covariances

    T = 1/n sum over frames of (x - m)(x - m)'        total
    B = sum over c of n_c / n (m_c - m)(m_c - m)'     between classes
    W = T - B                                         within classes                            (1)

let W = L L' (Cholesky) and L^-1 B L^-T = U diag(s) U', s falling. In the space U' L^-1 x all
classes have unit covariance within, and s between them. Dimension i is then multiplied by

    ( (f + s_i) / (1 + s_i) )^1/2                     f = within_class_factor                   (2)

so that its variance goes from 1 + s_i to f + s_i: about what tells classes apart. Last, singular
values of M above `max_singular_value` are cut to it, so that directions in which the input hardly
varies are not blown up, and b = - M m.

Rows at which W is not positive definite (a constant dimension, as an i-vector that is the same for
all) have W's diagonal raised by a millionth of its mean until it is; that is counted and logged.

Source: Kaldi nnet3-chain-acc-lda-stats, nnet-get-feature-transform (FeatureTransformEstimate);
kaldi-facts 4.8. Kaldi also prunes its statistics at random, for speed; here they are exact.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from chainstitch.nnet.layers import FixedAffine
from chainstitch.nnet.nets.network import Network
from chainstitch.utils.errors import UsageError, UserError

logger = logging.getLogger(__name__)

LAYER = "fixed-affine-layer"


class LdaStatistics:
    """n_c, sums of x by class, and the sum of x x', in float64.

    Args:
        dim: of x; classes: how many there are.
    """

    def __init__(self, dim: int, classes: int) -> None:
        self.counts = torch.zeros(classes, dtype=torch.float64)
        self.sums = torch.zeros(classes, dim, dtype=torch.float64)
        self.products = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, x: Tensor, classes: Tensor) -> None:
        """Adds frames: x (rows, dim), classes (rows,), below 0 for a frame that is left out.

        Raises:
            ValueError: shapes that do not fit, or a class that there is not.
        """
        if x.dim() != 2 or x.shape[1] != self.sums.shape[1] or classes.shape != x.shape[:1]:
            raise ValueError(
                f"LDA: wanted (rows, {self.sums.shape[1]}) and (rows,), got {tuple(x.shape)} and "
                f"{tuple(classes.shape)}"
            )
        keep = (classes >= 0).cpu()
        x, classes = x.detach().cpu().double()[keep], classes.cpu().long()[keep]
        if len(classes) and int(classes.max()) >= len(self.counts):
            raise ValueError(f"LDA: found class {int(classes.max())} of {len(self.counts)}")
        self.counts.index_add_(0, classes, torch.ones(len(x), dtype=torch.float64))
        self.sums.index_add_(0, classes, x)
        self.products.addmm_(x.t(), x)

    def covariances(self) -> tuple[Tensor, Tensor, Tensor]:
        """m (dim,), T and B (dim, dim) of (1).

        Raises:
            UserError: fewer frames than dimensions, or a sum that is not finite.
        """
        n, dim = self.counts.sum(), self.sums.shape[1]
        if n <= dim:
            raise UserError(f"LDA: {int(n)} frames are too few for {dim} dimensions; give more")
        if not (torch.isfinite(self.products).all() and torch.isfinite(self.sums).all()):
            raise UserError("LDA: the features are not finite; make them again")
        mean = self.sums.sum(0) / n
        total = self.products / n - torch.outer(mean, mean)
        means = self.sums / self.counts.clamp(min=1.0)[:, None] - mean
        between = means.t() @ (means * (self.counts / n)[:, None])
        return mean, total, between


@dataclass(frozen=True)
class Transform:
    """M (dim, dim) and b (dim,) in float64.

    Attributes:
        between: (dim,) s of (2), falling; cut: how many singular values of M were cut.
    """

    weight: Tensor
    bias: Tensor
    between: Tensor
    cut: int


def lda_transform(
    statistics: LdaStatistics, within_class_factor: float = 1e-4, max_singular_value: float = 5.0
) -> Transform:
    """The transform of the statistics.

    Raises:
        UserError: as `LdaStatistics.covariances`.
    """
    mean, total, between = statistics.covariances()
    lower = _cholesky(total - between)
    half = torch.linalg.solve_triangular(lower, between, upper=False)  # L^-1 B
    white = torch.linalg.solve_triangular(lower, half.t(), upper=False)  # L^-1 B L^-T
    s, u = torch.linalg.eigh((white + white.t()) / 2)
    s, u = s.flip(0).clamp(min=0.0), u.flip(1)
    m = torch.linalg.solve_triangular(lower.t(), u, upper=True).t()  # U' L^-1
    m = m * ((within_class_factor + s) / (1.0 + s)).sqrt()[:, None]  # (2)
    left, values, right = torch.linalg.svd(m)
    cut = int((values > max_singular_value).sum())
    m = (left * values.clamp(max=max_singular_value)) @ right
    return Transform(m, -m @ mean, s, cut)


def _cholesky(within: Tensor) -> Tensor:
    """L of W, its diagonal raised where it has to be."""
    added = 0.0
    diagonal = float(within.diagonal().mean().clamp(min=torch.finfo(within.dtype).tiny))
    while True:
        raised = within + added * torch.eye(len(within), dtype=within.dtype)
        lower, failed = torch.linalg.cholesky_ex(raised)
        # one that is positive definite only by rounding is of no use
        if not failed and float(lower.diagonal().min()) ** 2 > 1e-10 * diagonal:
            if added:
                logger.warning("LDA: within-class covariance is singular; added %.2g", added)
            return torch.as_tensor(lower)
        added = 10.0 * added or 1e-6 * diagonal


Batch = tuple[Tensor, Tensor, Tensor | None, Tensor]


@torch.no_grad()
def estimate_lda(network: Network, batches: Iterable[Batch]) -> Transform | None:
    """Estimates the fixed affine layer of a network and puts it in; None where it has none.

    Args:
        batches: (features, lengths, ivectors or None, classes): the first three as
            `Network.forward` takes them, and (batch, output frames) of numbers below the network's
            `num_outputs`, -1 where a frame has none; what stands past a length is not looked at.

    Raises:
        UsageError: the network has several such layers, or one that is no first layer.
        UserError: too few frames, or features that are not finite.
    """
    nodes = [node for node in network.nodes if node.kind == LAYER]
    names = [node.name for node in nodes]
    if not names:
        return None
    if len(names) > 1:
        raise UsageError(f"xconfig: found {LAYER} {', '.join(names)}; only one can be estimated")
    layer = network.layers[nodes[0].key]
    assert isinstance(layer, FixedAffine)
    statistics = LdaStatistics(len(layer.bias), network.num_outputs)
    mode = network.training
    network.eval()
    try:
        for features, lengths, ivectors, classes in batches:
            x, counts = network.spliced(names[0], features, lengths, ivectors)
            inside = torch.arange(classes.shape[1])[None, :] < counts[:, None]
            statistics.add(x, classes.cpu()[inside])
    finally:
        network.train(mode)
    found = lda_transform(statistics)
    layer.set(found.weight.to(layer.weight), found.bias.to(layer.bias))
    frames = int(statistics.counts.sum())
    logger.info("%s: from %d frames; %d singular values cut", names[0], frames, found.cut)
    return found
