"""The layer types of an xconfig and the keys that each takes: a table, for xconfig.py to check by.

A key's type is int, float, bool, str (accepted and not read), or a tuple of the names that may
stand in a quoted list of options, as in ng-affine-options="rank-in=20 rank-out=80".
"""

from __future__ import annotations

Type = type[int] | type[float] | type[bool] | type[str] | tuple[str, ...]
Keys = dict[str, Type]

UPDATE: Keys = {"max-change": float, "learning-rate-factor": float, "l2-regularize": float}
NATURAL_GRADIENT = (
    *("rank-in", "rank-out", "update-period", "num-samples-history", "alpha"),
    *("max-change", "learning-rate-factor", "l2-regularize", "param-stddev", "bias-stddev"),
)
PEEPHOLES = ("max-change", "learning-rate-factor", "l2-regularize", "param-mean", "param-stddev")
AFFINE: Keys = {**UPDATE, "ng-affine-options": NATURAL_GRADIENT}
DROPOUT: Keys = {
    "dropout-proportion": float, "dropout-per-dim": bool, "dropout-per-dim-continuous": bool,
}  # fmt: skip
RELU: Keys = {
    **AFFINE, **DROPOUT, "dim": int, "bottleneck-dim": int, "target-rms": float,
    "self-repair-scale": float, "ng-linear-options": NATURAL_GRADIENT,
}  # fmt: skip
LSTM: Keys = {
    **AFFINE, "cell-dim": int, "delay": int, "decay-time": float, "clipping-threshold": float,
    "zeroing-threshold": float, "zeroing-interval": int, "self-repair-scale-nonlinearity": float,
    "dropout-proportion": float, "dropout-per-frame": bool,
}  # fmt: skip
PROJECTION: Keys = {"recurrent-projection-dim": int, "non-recurrent-projection-dim": int}

KEYS: dict[str, Keys] = {
    "input": {"dim": int},
    "fixed-affine-layer": {"affine-transform-file": str, "write-init-config": str, "dim": int},
    "affine-layer": {**AFFINE, "dim": int},
    "relu-layer": RELU,
    "relu-renorm-layer": RELU,
    "relu-batchnorm-layer": RELU,
    "relu-dropout-layer": RELU,
    "relu-renorm-dropout-layer": RELU,
    "relu-batchnorm-dropout-layer": RELU,
    "batchnorm-component": {"target-rms": float},
    "idct-layer": {"cepstral-lifter": float},
    "freq-warp-layer": {"max-warp": float},
    "spec-augment-layer": {
        "freq-max-proportion": float, "time-zeroed-proportion": float,
        "time-mask-max-frames": int,
    },
    "fast-lstm-layer": {**LSTM, "lstm-nonlinearity-options": PEEPHOLES},
    "fast-lstmp-layer": {**LSTM, **PROJECTION, "lstm-nonlinearity-options": PEEPHOLES},
    "lstmp-layer": {**LSTM, **PROJECTION, "ng-per-element-scale-options": PEEPHOLES},
    "tdnnf-layer": {
        **UPDATE, "dim": int, "bottleneck-dim": int, "bypass-scale": float, "time-stride": int,
        "dropout-proportion": float, "self-repair-scale": float,
    },
    "prefinal-layer": {**UPDATE, "big-dim": int, "small-dim": int},
    "linear-component": {
        **UPDATE, "dim": int, "orthonormal-constraint": float,
        "ng-linear-options": NATURAL_GRADIENT,
    },
    "no-op-component": {},
    "output-layer": {
        **AFFINE, "dim": int, "bottleneck-dim": int, "include-log-softmax": bool,
        "output-delay": int, "objective-type": str, "orthonormal-constraint": float,
        "ng-linear-options": NATURAL_GRADIENT, "param-stddev": float, "bias-stddev": float,
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
