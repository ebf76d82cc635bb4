"""The layer types of an xconfig and the keys that each takes: a table, for xconfig.py to check by.

A key is a number within bounds (utils/bounds.py), a truth value, a text that is accepted and not
read, or a quoted list of numbers, as in ng-affine-options="rank-in=20 rank-out=80".
"""

from __future__ import annotations

from dataclasses import dataclass

from chainstitch.utils.bounds import Bounds, interval


@dataclass(frozen=True)
class Number:
    """A key with a number for a value."""

    bounds: Bounds
    whole: bool

    @property
    def wanted(self) -> str:
        """In words, to follow "wants"."""
        return f"{'a whole number, ' if self.whole else ''}{self.bounds}"


def number(bounds: str) -> Number:
    """Any number in these bounds."""
    return Number(interval(bounds), False)


def whole(bounds: str) -> Number:
    """A whole number in these bounds."""
    return Number(interval(bounds), True)


Value = Number | type[bool] | type[str] | dict[str, Number]
Keys = dict[str, Value]

DIM = whole("[1, 1000000]")  # whether it fits into memory is another question: size.py
FACTOR = number("[0, inf)")
ANY = number("any")
PROPORTION = number("[0, 1]")
SCALE = number("[-1000000, 1000000]")
LENGTH = number("(0, inf)")
FRAMES = whole("[-10000, 10000]")  # from one time to another
DELAY = whole("[-1000, 1000]")

UPDATE: Keys = {"max-change": FACTOR, "learning-rate-factor": FACTOR, "l2-regularize": FACTOR}
STDDEV = {"param-stddev": FACTOR, "bias-stddev": FACTOR}
LIMITS = {"max-change": FACTOR, "learning-rate-factor": FACTOR, "l2-regularize": FACTOR}
NATURAL_GRADIENT = {
    "rank-in": whole("[1, 10000]"), "rank-out": whole("[1, 10000]"),
    "update-period": whole("[1, 1000000]"), "num-samples-history": number("(0, inf)"),
    "alpha": FACTOR, **LIMITS, **STDDEV,
}  # fmt: skip
PEEPHOLES = {**LIMITS, "param-mean": ANY, "param-stddev": FACTOR}
AFFINE: Keys = {**UPDATE, "ng-affine-options": NATURAL_GRADIENT}
DROPOUT: Keys = {
    "dropout-proportion": PROPORTION, "dropout-per-dim": bool, "dropout-per-dim-continuous": bool,
}  # fmt: skip
RMS = number("(0, inf)")
RELU: Keys = {
    **AFFINE, **DROPOUT, "dim": DIM, "bottleneck-dim": DIM, "target-rms": RMS,
    "self-repair-scale": FACTOR, "ng-linear-options": NATURAL_GRADIENT,
}  # fmt: skip
LSTM: Keys = {
    **AFFINE, "cell-dim": DIM, "delay": DELAY, "decay-time": number("[0, 1000000] or -1"),
    "clipping-threshold": LENGTH, "zeroing-threshold": LENGTH, "zeroing-interval": DIM,
    "self-repair-scale-nonlinearity": FACTOR, "dropout-per-frame": bool,
    "dropout-proportion": number("[0, 1] or -1"),  # Kaldi's word for none
}  # fmt: skip
PROJECTION: Keys = {"recurrent-projection-dim": DIM, "non-recurrent-projection-dim": DIM}

KEYS: dict[str, Keys] = {
    "input": {"dim": DIM},
    "fixed-affine-layer": {"affine-transform-file": str, "write-init-config": str, "dim": DIM},
    "affine-layer": {**AFFINE, "dim": DIM},
    "relu-layer": RELU,
    "relu-renorm-layer": RELU,
    "relu-batchnorm-layer": RELU,
    "relu-dropout-layer": RELU,
    "relu-renorm-dropout-layer": RELU,
    "relu-batchnorm-dropout-layer": RELU,
    "batchnorm-component": {"target-rms": RMS},
    "idct-layer": {"cepstral-lifter": number("[1, 10000] or 0")},
    "freq-warp-layer": {"max-warp": number("[0, 0.2)")},
    "spec-augment-layer": {
        "freq-max-proportion": PROPORTION, "time-zeroed-proportion": PROPORTION,
        "time-mask-max-frames": whole("[1, 10000]"),
    },
    "fast-lstm-layer": {**LSTM, "lstm-nonlinearity-options": PEEPHOLES},
    "fast-lstmp-layer": {**LSTM, **PROJECTION, "lstm-nonlinearity-options": PEEPHOLES},
    "lstmp-layer": {**LSTM, **PROJECTION, "ng-per-element-scale-options": PEEPHOLES},
    "tdnnf-layer": {
        **UPDATE, "dim": DIM, "bottleneck-dim": DIM, "bypass-scale": FACTOR,
        "time-stride": whole("[0, 1000]"), "dropout-proportion": number("[0, 0.5]"),
        "self-repair-scale": FACTOR,
    },
    "prefinal-layer": {**UPDATE, "big-dim": DIM, "small-dim": DIM},
    "linear-component": {
        **UPDATE, "dim": DIM, "orthonormal-constraint": ANY,
        "ng-linear-options": NATURAL_GRADIENT,
    },
    "no-op-component": {},
    "output-layer": {
        **AFFINE, "dim": DIM, "bottleneck-dim": DIM, "include-log-softmax": bool,
        "output-delay": DELAY, "objective-type": str, "orthonormal-constraint": ANY,
        "ng-linear-options": NATURAL_GRADIENT, **STDDEV,
    },
}  # fmt: skip

REQUIRED: dict[str, tuple[str, ...]] = {
    **{kind: ("dim",) for kind, keys in KEYS.items() if keys is RELU},
    **dict.fromkeys(("input", "affine-layer", "linear-component"), ("dim",)),
    **{kind: ("cell-dim",) for kind in KEYS if "lstm" in kind},
    "tdnnf-layer": ("dim", "bottleneck-dim"),
    "prefinal-layer": ("big-dim", "small-dim"),
}

# the only values of keys whose other values mean what is not built, or that are not read
FIXED: dict[str, tuple[str, str]] = {
    "objective-type": ("linear", "the loss is chosen in [chain] of the config"),
    "zeroing-interval": ("20", "other intervals are not built"),
}
