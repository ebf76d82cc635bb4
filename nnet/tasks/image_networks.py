"""The networks that classify images: [network] of a config, and a row for each `kind`.

A new kind is a file in nets/, a function here that makes it, and a row of KINDS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from chainstitch.nnet.nets import convnet, wide_resnet
from chainstitch.nnet.nets.convnet import ConvNet
from chainstitch.nnet.nets.mlp import HIDDEN, MLP
from chainstitch.nnet.nets.trainable import Trainable
from chainstitch.nnet.nets.wide_resnet import WideResNet
from chainstitch.utils.bounds import check_fields
from chainstitch.utils.data.images import ImageSet
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.memory import refuse_more

Shape = tuple[int, int, int]  # rows, columns, colours
CIFAR: Shape = (32, 32, 3)


@dataclass
class ImageNetwork:
    """[network]: a network of nets/wide_resnet.py, nets/mlp.py or nets/convnet.py."""

    kind: str = field(default="wide_resnet", metadata={"help": "wide_resnet, mlp or convnet"})
    filters: list[int] = field(
        default_factory=list,
        metadata={
            "help": "of the wide_resnet's three groups, left out: [48, 128, 384]; of each layer of "
            "the convnet, left out: [32, 64]",
            "bounds": "[1, 65536]",
        },
    )
    bottleneck: int = field(
        default=wide_resnet.BOTTLENECK,
        metadata={
            "help": "of the wide_resnet: filters in the middle of bottlenecks",
            "bounds": "[1, 65536]",
        },
    )
    width: float = field(
        default=1.0,
        metadata={
            "help": "of the wide_resnet: multiplies all numbers of filters",
            "bounds": "(0, 1000]",
        },
    )
    kaldi_offsets: bool = field(
        default=False,
        metadata={"help": "of the wide_resnet: average the columns that Kaldi's recipes do"},
    )
    hidden: list[int] = field(
        default_factory=lambda: list(HIDDEN),
        metadata={"help": "of the mlp: units of each hidden layer", "bounds": "[1, 65536]"},
    )
    dropout: float = field(
        default=0.0,
        metadata={"help": "of mlp and convnet: proportion after each layer", "bounds": "[0, 1)"},
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if self.kind not in KINDS:
            raise ValueError(f"network.kind: wanted {' or '.join(KINDS)}, found {self.kind!r}")
        kind = KINDS[self.kind]
        for key in fields(self):
            default = key.default_factory() if callable(key.default_factory) else key.default
            if key.name not in ("kind", *kind.keys) and getattr(self, key.name) != default:
                raise ValueError(f"network.{key.name} is not for kind {self.kind!r}; leave it out")
        self.filters = self.filters or list(kind.filters)
        if self.kind == "wide_resnet":
            self._check_groups()

    def _check_groups(self) -> None:
        if len(self.filters) != 3:
            raise ValueError(f"network: wanted three filters, found {self.filters}")
        if round(self.width * min(*self.filters, self.bottleneck)) < 1:
            raise ValueError(f"network: width {self.width} leaves a convolution without filters")

    def build(self, num_classes: int, shape: Shape) -> Trainable:
        """The network for images of this shape.

        Raises:
            UsageError: it does not fit them, or the memory of this machine.
        """
        return KINDS[self.kind].build(self, num_classes, shape)


def _wide_resnet(options: ImageNetwork, num_classes: int, shape: Shape) -> Trainable:
    f1, f2, f3, middle = (options.width * n for n in (*options.filters, options.bottleneck))
    weights = 9 * (4 * f1**2 + f1 * f2 + 4 * f2**2 + f2 * f3 + 3 * middle**2)
    what = f"network: filters = {options.filters}, width = {options.width:g}"
    refuse_more(4 * weights, what, "set fewer filters")
    return WideResNet(
        num_classes, options.filters, options.bottleneck, options.width, options.kaldi_offsets
    )


def _mlp(options: ImageNetwork, num_classes: int, shape: Shape) -> Trainable:
    rows, columns, colours = shape
    weights = _between([rows * columns * colours, *options.hidden, num_classes])
    refuse_more(4 * weights, f"network: hidden = {options.hidden}", "set fewer units")
    return MLP(num_classes, shape, options.hidden, options.dropout)


def _convnet(options: ImageNetwork, num_classes: int, shape: Shape) -> Trainable:
    rows, columns, colours = shape
    try:
        places = convnet.places_left((rows, columns), len(options.filters))
    except ValueError as error:
        raise UsageError(f"network: {error}; set fewer filters than {options.filters}") from None
    weights = 9 * _between([colours, *options.filters]) + options.filters[-1] * places * num_classes
    refuse_more(4 * weights, f"network: filters = {options.filters}", "set fewer filters")
    return ConvNet(num_classes, shape, options.filters, options.dropout)


def _between(dims: Sequence[int]) -> int:
    """Weights between layers of these dimensions."""
    return sum(a * b for a, b in zip(dims, dims[1:], strict=False))


@dataclass(frozen=True)
class Kind:
    """A kind of network.

    Attributes:
        build: makes it from its options, the number of classes and the shape of the images.
        keys: of [network], besides `kind`.
        filters: what it has if none are given.
        shape: of the only images that it is for, or None.
    """

    build: Callable[[ImageNetwork, int, Shape], Trainable]
    keys: tuple[str, ...]
    filters: tuple[int, ...] = ()
    shape: Shape | None = None


KINDS = {
    "wide_resnet": Kind(
        _wide_resnet, ("filters", "bottleneck", "width", "kaldi_offsets"), wide_resnet.FILTERS,
        CIFAR,
    ),
    "mlp": Kind(_mlp, ("hidden", "dropout")),
    "convnet": Kind(_convnet, ("filters", "dropout"), convnet.FILTERS),
}  # fmt: skip


def check_shape(images: ImageSet, directory: Path | str, wanted: Sequence[int]) -> None:
    """That images of a directory are of this shape.

    Raises:
        UserError: they are of another.
    """
    found = images.pixels.shape[1:]
    if found != tuple(wanted):
        raise UserError(f"{directory} has images of {said(found)}, wanted {said(wanted)}")


def shape_in(facts: Mapping[str, Any], path: Path) -> Shape:
    """What images a model was trained on, by the facts in `path`; without any, CIFAR's.

    Raises:
        UserError: what it says is no shape.
    """
    found = facts.get("image_shape", list(CIFAR))
    if len(found) != 3 or not all(isinstance(n, int) and n > 0 for n in found):
        raise UserError(f"{path} is not one of ours: its images are of {found}, wanted three sizes")
    rows, columns, colours = found
    return rows, columns, colours


def said(shape: Sequence[int]) -> str:
    """A shape for a message.

    >>> said((28, 28, 1))
    '28 x 28 x 1'
    """
    return " x ".join(map(str, shape))
