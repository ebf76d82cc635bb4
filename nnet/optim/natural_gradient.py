"""Natural gradient on the layers of any module, through hooks.

The method, its equations and its cost are in online_natural_gradient.py; here two of its sides are
put on each layer.

**Affine layers** (`nn.Linear`): the sides see the rows, inputs x (with a one appended for the bias)
and output derivatives dy, while autograd runs; the finished gradient G is then multiplied from both
sides. Ranks min(20, (in+1)/2) and min(80, (out+1)/2), period 4, history 2000 rows.

**Convolutions** (`nn.Conv1d`, `nn.Conv2d`, `nn.Conv3d` of one group): there are too many rows, one
for every place of the image, so the sides see the finished gradient only, as the paper's footnote 8
has it. With G (filters out) x (filters in * kernel + 1), the last column that of the bias,

    G1 = precondition(G)       the filters out are the samples
    G2 = precondition(G1^T)    the inputs are the samples;  result gamma1 gamma2 G2^T

Ranks min(80, (dim+1)/2), updated on every minibatch, history 4 minibatches.

**Peepholes** of an LSTM (`Peepholes`): the finished gradient, 3 x cell, is three samples of one
side; rank min(20, (cell+1)/2), period 2, history 1000 rows.

Weights that two layers share have one pair of sides, fed by both. What else has parameters
(embeddings, normalisation, depthwise convolutions) keeps its ordinary gradient and is listed in
`left_out`. Under autocast the sides work in float32.

Source: Kaldi nnet-simple-component.cc, NaturalGradientAffineComponent::Update;
nnet-convolutional-component.cc, TimeHeightConvolutionComponent::UpdateNaturalGradient;
nnet-combined-component.cc, LstmNonlinearityComponent.
"""

from __future__ import annotations

import fnmatch
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from chainstitch.nnet.layers.lstmp import Peepholes
from chainstitch.nnet.optim.across_ranks import add_up
from chainstitch.nnet.optim.fisher_update import finish_together
from chainstitch.nnet.optim.online_natural_gradient import BOUNDS, OnlineNaturalGradient
from chainstitch.utils.arguments import check_numbers

logger = logging.getLogger(__name__)

CONVOLUTION_HISTORY = 4.0  # minibatches
WATCHED = 3  # passes after which layers are named that no rows were seen of
Convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class NaturalGradient:
    """Puts natural gradient on the affine, convolutional and LSTM layers of a module, by hooks.

    Call `precondition_gradients()` after `backward()` and before the optimiser's step: it replaces
    `weight.grad` and `bias.grad` by the natural gradient. Loss must be *summed* over rows, not
    averaged. Forward and `state_dict` of the module stay as they are; several backward passes may
    come before one call. A layer's attributes `rank_in`, `rank_out` override the default ranks, and
    `update_period`, `num_samples_history`, `alpha` (of affine layers) those of the arguments.

    Args:
        module: the network; layers whose weights do not require grad are left alone.
        update_period, num_samples_history, alpha: as in `OnlineNaturalGradient`, of affine layers
            (convolutions: alpha only).
        exclude: patterns (`encoder.*`) of names to leave out.
        group: process group of data-parallel training; that of a DistributedDataParallel `module`
            if not given. As DDP *averages* gradients over processes, multiply the loss by their
            number; every process has to use the same layers in every minibatch.

    Rows are seen where a layer is *called*. The gradient of one whose weights are used without that
    (`out_proj` of an nn.MultiheadAttention), or whose hooks are not run (in a module that was
    compiled, and run, before the hooks were put on it), stays as it is. Such layers are named in a
    warning after 3 passes in which they had a gradient, and in `unseen()`.

    Attributes:
        layers: name -> layer; left_out: names of the others that have parameters.

    Raises:
        TypeError: a number that is none, or no module.
        ValueError: no layer to work on, a pattern of `exclude` that no layer matches, a number that
            is not finite or out of bounds, or a lazy layer that has no shape yet.

    A residual network as torchvision builds them; batch-norm's scale and shift are left out:

    >>> class Block(nn.Module):
    ...     def __init__(self, dim, out, stride):
    ...         super().__init__()
    ...         self.conv1 = nn.Conv2d(dim, out, 3, stride, 1, bias=False)
    ...         self.bn1 = nn.BatchNorm2d(out)
    ...         self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
    ...         self.bn2 = nn.BatchNorm2d(out)
    ...         self.downsample = nn.Conv2d(dim, out, 1, stride, bias=False)
    ...     def forward(self, x):
    ...         y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
    ...         return (y + self.downsample(x)).relu()
    >>> blocks = nn.Sequential(Block(3, 8, 1), Block(8, 16, 2), nn.AdaptiveAvgPool2d(1))
    >>> resnet = nn.Sequential(blocks, nn.Flatten(), nn.Linear(16, 10))
    >>> natural_gradient = NaturalGradient(resnet)
    >>> len(natural_gradient.layers), natural_gradient.left_out[:2]
    (7, ['0.0.bn1', '0.0.bn2'])
    >>> optimizer = torch.optim.SGD(resnet.parameters(), lr=1e-3)
    >>> images, classes = torch.randn(16, 3, 8, 8), torch.randint(10, (16,))
    >>> nn.functional.cross_entropy(resnet(images), classes, reduction="sum").backward()
    >>> natural_gradient.precondition_gradients()
    >>> optimizer.step()
    """

    def __init__(
        self,
        module: nn.Module,
        update_period: int = 4,
        num_samples_history: float = 2000.0,
        alpha: float = 4.0,
        exclude: Sequence[str] = (),
        group: Any = None,
    ) -> None:
        if not isinstance(module, nn.Module):
            raise TypeError(f"natural gradient wants an nn.Module, found {type(module).__name__}")
        check_numbers(
            "natural gradient", BOUNDS, update_period=update_period,
            num_samples_history=num_samples_history, alpha=alpha,
        )  # fmt: skip
        if isinstance(module, nn.parallel.DistributedDataParallel):
            group = group or module.process_group
        self._group = group
        self._options = (update_period, num_samples_history, alpha)
        self.layers: dict[str, nn.Module] = {}
        self.sides: dict[str, tuple[OnlineNaturalGradient, ...]] = {}
        self.left_out: list[str] = []
        self._handles: list[Any] = []
        self._with_gradient: Counter[str] = Counter()  # passes, of layers not seen so far
        self._seen: set[str] = set()
        names: dict[int, str] = {}  # of the layer that first had a weight
        unused = set(exclude)
        for name, layer in module.named_modules():
            trained = [p for p in layer.parameters(recurse=False) if p.requires_grad]
            matching = {pattern for pattern in exclude if fnmatch.fnmatchcase(name, pattern)}
            unused -= matching
            if not trained:
                continue
            if any(isinstance(p, nn.UninitializedParameter) for p in trained):
                raise ValueError(
                    f"natural gradient: layer {name!r} is lazy and has no shape yet; run the "
                    "module on one batch first"
                )
            if matching or not _suitable(layer):
                self.left_out.append(name)
                continue
            first = names.setdefault(id(layer.weight), name)
            if first == name:
                self.layers[name] = layer
            if isinstance(layer, nn.Linear):
                self._handles.append(layer.register_forward_hook(self._watch(first)))
        if unused:
            raise ValueError(f"natural gradient: no layer matches {sorted(unused)} of exclude")
        if not self.layers:
            raise ValueError(
                "natural gradient: the module has no trainable nn.Linear or nn.Conv layer"
            )
        if self.left_out:
            logger.debug("without natural gradient: %s", ", ".join(self.left_out))
        self.reset()

    def reset(self) -> None:
        """Forgets all estimates, as Kaldi does between iterations."""
        self.sides = {name: self._new_sides(layer) for name, layer in self.layers.items()}

    def _new_sides(self, layer: nn.Module) -> tuple[OnlineNaturalGradient, ...]:
        period, history, alpha = self._options
        weight = _weight(layer)
        out, dim = weight.shape[0], weight[0].numel()
        if isinstance(layer, Peepholes):
            return (OnlineNaturalGradient(min(20, (dim + 1) // 2), 2, 1000.0, None, alpha),)
        convolution = isinstance(layer, Convolution)
        dim += convolution and layer.bias is not None
        ranks = (
            getattr(layer, "rank_in", None) or min(80 if convolution else 20, (dim + 1) // 2),
            getattr(layer, "rank_out", None) or min(80, (out + 1) // 2),
        )
        period = getattr(layer, "update_period", period)
        history = getattr(layer, "num_samples_history", history)
        alpha = getattr(layer, "alpha", alpha)
        sides = tuple(
            OnlineNaturalGradient(max(1, rank), 1, 2000.0, CONVOLUTION_HISTORY, alpha)
            if convolution
            else OnlineNaturalGradient(max(1, rank), period, history, None, alpha)
            for rank in ranks
        )
        if not convolution:  # of which the finished gradient is the same in all processes
            for side in sides:
                side.group = self._group
        return sides

    def remove(self) -> None:
        """Takes the hooks off the module."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch(self, name: str) -> Any:
        def after_forward(layer: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not (torch.is_grad_enabled() and output.requires_grad):
                return
            x = inputs[0].detach()

            def on_gradient(dy: Tensor) -> None:
                with torch.no_grad(), torch.autocast(dy.device.type, enabled=False):
                    side_in, side_out = self.sides[name]
                    side_in.observe(x.reshape(-1, x.shape[-1]), ones=layer.bias is not None)
                    side_out.observe(dy.reshape(-1, dy.shape[-1]))

            output.register_hook(on_gradient)

        return after_forward

    @torch.no_grad()
    def precondition_gradients(self) -> None:
        """Replaces the gradients G of all layers by gamma_in gamma_out P_out G P_in."""
        if self._group is not None:
            add_up([s for pair in self.sides.values() for s in pair if s.group], self._group)
        for name, layer in self.layers.items():
            gradient, bias = _weight(layer).grad, getattr(layer, "bias", None)
            if gradient is None:
                continue
            sides = self.sides[name]
            if isinstance(layer, nn.Linear):
                if sides[0].rows:
                    self._seen.add(name)
                elif name not in self._seen:
                    self._with_gradient[name] += 1
                if gradient.layout != torch.strided:  # of a sparse embedding that has this weight
                    continue
                _precondition(gradient, None if bias is None else bias.grad, *sides)
            else:
                _precondition_finished(gradient, None if bias is None else bias.grad, sides)
        finish_together([side for pair in self.sides.values() for side in pair])
        self._warn()

    def unseen(self) -> list[str]:
        """Layers that have had gradients, though no rows of theirs were seen."""
        return [name for name in self._with_gradient if name not in self._seen]

    def _warn(self) -> None:
        late = [name for name in self.unseen() if self._with_gradient[name] == WATCHED]
        if late:
            logger.warning(
                "natural gradient has seen no rows of %s in %d passes with gradients, which stay "
                "plain. Was the module compiled and run before NaturalGradient was put on it? Put "
                "it on first, or call torch.compiler.reset(). Or does another module use these "
                "weights without calling the layer, as nn.MultiheadAttention does? Then name them "
                "in `exclude`",
                ", ".join(late), WATCHED,
            )  # fmt: skip

    def drop(self) -> None:
        """Forgets the rows of this minibatch, of which there will be no gradient."""
        for pair in self.sides.values():
            for side in pair:
                side.clear()

    @contextmanager
    def freeze(self) -> Iterator[None]:
        """Within the block estimates are used, not updated (in backstitch's first step)."""
        for pair in self.sides.values():
            for side in pair:
                side.frozen = True
        try:
            yield
        finally:
            for pair in self.sides.values():
                for side in pair:
                    side.frozen = False

    def statistics(self) -> dict[str, int]:
        """How often estimates were updated and their numerics mended, summed over layers."""
        all_sides = [side for pair in self.sides.values() for side in pair]
        return {
            "updates": sum(side.num_updates for side in all_sides),
            "floored": sum(side.num_floored for side in all_sides),
            "reorthogonalised": sum(side.num_reorthogonalised for side in all_sides),
            "nonfinite": sum(side.num_nonfinite for side in all_sides),
        }

    def state_dict(self) -> dict[str, Any]:
        """Estimates of every layer, by name."""
        return {name: [side.state_dict() for side in pair] for name, pair in self.sides.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `state_dict` gave for a module of the same layers.

        Raises:
            ValueError: it is for other layers.
        """
        if set(state) != set(self.sides):
            raise ValueError(
                f"natural gradient state is for layers {sorted(state)}, "
                f"the module has {sorted(self.sides)}"
            )
        for name, pair in self.sides.items():
            for side, values in zip(pair, state[name], strict=True):
                try:
                    side.load_state_dict(values)
                except ValueError as error:
                    raise ValueError(f"layer {name!r}: {error}") from None


def _precondition(
    weight: Tensor, bias: Tensor | None, side_in: OnlineNaturalGradient,
    side_out: OnlineNaturalGradient,
) -> None:  # fmt: skip
    """G <- gamma_in gamma_out P_out G P_in in place, for the gradient G = [weight, bias].

    With W_out and W_in of the two sides, A = W_out G and B = G W_in^T - W_out^T (A W_in^T),

        P_out G P_in = (I - W_out^T W_out) G (I - W_in^T W_in) = G - [W_out^T, B] [A; W_in],

    so G is read three times and written once, however it is laid out.
    """
    w_in, w_out = side_in.w, side_out.w
    if w_in is None or w_out is None or not side_in.rows:
        return  # the weights were used, the layer was not
    dtype = w_in.dtype
    g = weight.to(dtype)  # of half precision a copy, else the gradient itself
    w_in, ones = w_in.split([weight.shape[1], w_in.shape[1] - weight.shape[1]], 1)
    a, b = w_out @ g, g @ w_in.t()
    if bias is not None and ones.numel():
        b += torch.outer(bias.to(dtype), ones[:, 0])
    b = torch.addmm(b, w_out.t(), w_out @ b, alpha=-1)
    gamma = side_in.gamma() * side_out.gamma()
    g.addmm_(torch.cat([w_out.t(), b], 1), torch.cat([a, w_in], 0), alpha=-1).mul_(gamma)
    if g is not weight:
        weight.copy_(g)
    if bias is not None:
        change = w_out.t() @ (w_out @ bias.to(dtype))
        if ones.numel():
            change += b @ ones[:, 0]
        bias.sub_(change).mul_(gamma)


def _precondition_finished(
    weight: Tensor, bias: Tensor | None, sides: Sequence[OnlineNaturalGradient]
) -> None:
    """The same where G itself is what the sides see, first its rows, then its columns."""
    g = weight.flatten(1)
    if bias is not None:
        g = torch.cat([g, bias[:, None]], 1)  # (out, in + 1)
    g, gamma = sides[0].project(g)
    for side in sides[1:]:
        g, other = side.project(g.t())
        g, gamma = g.t(), gamma * other
    g = g * gamma
    columns = weight[0].numel()
    weight.copy_(g[:, :columns].view_as(weight))
    if bias is not None:
        bias.copy_(g[:, -1])


def _weight(layer: nn.Module) -> nn.Parameter:
    assert isinstance(layer.weight, nn.Parameter)
    return layer.weight


def _suitable(layer: nn.Module) -> bool:
    if isinstance(layer, Convolution) and layer.groups != 1:
        return False
    kinds = (nn.Linear, Peepholes, *Convolution)
    return isinstance(layer, kinds) and _weight(layer).requires_grad
