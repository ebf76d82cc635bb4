"""Networks from Kaldi's xconfig text.

    input name=input dim=40
    relu-batchnorm-layer name=tdnn1 dim=256 input=Append(-1,0,1)
    relu-batchnorm-layer name=tdnn2 dim=256 input=Append(-3,0,3)
    output-layer name=output

One line a layer: its type, then key=value pairs. `input` defaults to the layer above and may be a
layer name, `Offset(name, n)`, or `Append(...)` of those and of plain frame offsets (which refer to
the layer above). Unknown types and keys are errors that name the nearest known one. '#' starts a
comment.

    input                  dim
    relu-renorm-layer      dim [target-rms=1] [max-change=0.75] [learning-rate-factor=1]
                           [l2-regularize=0] [dropout-proportion]
    relu-batchnorm-layer   the same; both: affine, ReLU, normalisation, dropout (of proportion 0
                           where a schedule is to raise it)
    batchnorm-component    normalises its input (no parameters)
    idct-layer             [cepstral-lifter=22] MFCC back to log mel energies
    freq-warp-layer        [max-warp=0.1] in training, stretches each sequence's mel axis at random
    spec-augment-layer     [freq-max-proportion=0.5] [time-zeroed-proportion=0.2]
                           [time-mask-max-frames=20] in training, zeroes a band of dimensions and
                           stretches of frames at random
    fast-lstmp-layer       cell-dim [recurrent-projection-dim, non-recurrent-projection-dim:
                           cell-dim / 4] [delay=-1] [decay-time=0: none] [clipping-threshold=30]
                           [zeroing-threshold=15] [max-change=1.5] [learning-rate-factor=1]
                           [l2-regularize=0] an LSTM; delay in frames, above 0 looking ahead
    output-layer           [dim: number of pdfs] [max-change=1.5] [learning-rate-factor=1]
                           [l2-regularize=0]

This file only reads; `network.py` builds and runs.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field

from chainstitch.utils.errors import UsageError

_KEYS: dict[str, dict[str, type]] = {
    "input": {"dim": int},
    "relu-renorm-layer": {
        "dim": int, "input": str, "target-rms": float, "max-change": float,
        "learning-rate-factor": float, "dropout-proportion": float, "l2-regularize": float,
    },
    "batchnorm-component": {"input": str, "target-rms": float},
    "idct-layer": {"input": str, "cepstral-lifter": float},
    "freq-warp-layer": {"input": str, "max-warp": float},
    "spec-augment-layer": {
        "input": str, "freq-max-proportion": float, "time-zeroed-proportion": float,
        "time-mask-max-frames": int,
    },
    "fast-lstmp-layer": {
        "cell-dim": int, "input": str, "recurrent-projection-dim": int,
        "non-recurrent-projection-dim": int, "delay": int, "decay-time": float,
        "clipping-threshold": float, "zeroing-threshold": float, "max-change": float,
        "learning-rate-factor": float, "l2-regularize": float,
    },
    "output-layer": {
        "dim": int, "input": str, "max-change": float, "learning-rate-factor": float,
        "l2-regularize": float,
    },
}  # fmt: skip
_KEYS["relu-batchnorm-layer"] = _KEYS["relu-renorm-layer"]


@dataclass(frozen=True)
class LayerSpec:
    """One line: its type, name, spliced inputs as (source layer, frame offset), numbers by key."""

    kind: str
    name: str
    inputs: list[tuple[str, int]]
    options: dict[str, float] = field(default_factory=dict)


def parse_xconfig(text: str) -> list[LayerSpec]:
    """Parses the text into layers, in order.

    Raises:
        UsageError: with the line number: an unknown type or key, a missing dim, a name used twice,
            an input that is not above, no input or no single output layer.
    """
    layers: list[LayerSpec] = []
    known: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        where = f"xconfig line {number} ({line!r})"
        layer = _parse_line(line, where, layers)
        if layer.name in known:
            raise UsageError(f"{where}: the name {layer.name!r} is used twice; rename one of them")
        known.add(layer.name)
        layers.append(layer)
    kinds = [layer.kind for layer in layers]
    if kinds[:1] != ["input"] or kinds.count("input") != 1:
        raise UsageError(
            "xconfig: the first line, and no other, must be `input name=input dim=...`"
        )
    if kinds.count("output-layer") != 1 or kinds[-1] != "output-layer":
        raise UsageError("xconfig: the last line, and no other, must be `output-layer name=output`")
    return layers


def _parse_line(line: str, where: str, above: list[LayerSpec]) -> LayerSpec:
    kind, _, rest = line.partition(" ")
    if kind not in _KEYS:
        raise UsageError(f"{where}: unknown layer type {kind!r}; {_nearest(kind, list(_KEYS))}")
    pairs = re.findall(r"(\S+?)\s*=\s*([^=]*?)(?=\s+\S+?\s*=|$)", rest.strip())
    leftover = re.sub(r"(\S+?)\s*=\s*([^=]*?)(?=\s+\S+?\s*=|$)", "", rest).strip()
    if leftover:
        raise UsageError(f"{where}: cannot read {leftover!r}; wanted key=value")
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UsageError(f"{where}: a key is given twice")
    name = values.pop("name", "")
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name):
        raise UsageError(f"{where}: name={name!r} is missing or not a name; give name=tdnn1, say")
    options: dict[str, float] = {}
    inputs: list[tuple[str, int]] = []
    if kind != "input":
        inputs = _parse_input(values.pop("input", ""), where, above)
    for key, value in values.items():
        if key not in _KEYS[kind]:
            raise UsageError(
                f"{where}: unknown key {key!r}; {_nearest(key, [*_KEYS[kind], 'name'])}"
            )
        try:
            options[key] = _KEYS[kind][key](value)
        except ValueError:
            wanted = "a whole number" if _KEYS[kind][key] is int else "a number"
            raise UsageError(f"{where}: {key} wants {wanted}, found {value!r}") from None
    if kind in ("input", "relu-renorm-layer", "relu-batchnorm-layer") and options.get("dim", 0) < 1:
        raise UsageError(f"{where}: dim is missing or below 1; add dim=...")
    if kind == "fast-lstmp-layer" and options.get("cell-dim", 0) < 1:
        raise UsageError(f"{where}: cell-dim is missing or below 1; add cell-dim=...")
    return LayerSpec(kind, name, inputs, options)


def _parse_input(text: str, where: str, above: list[LayerSpec]) -> list[tuple[str, int]]:
    if not above:
        raise UsageError(f"{where}: nothing stands above to take input from; begin with `input`")
    previous = above[-1].name
    names = {layer.name for layer in above}
    text = re.sub(r"\s+", "", text)
    if not text:
        return [(previous, 0)]
    append = re.fullmatch(r"Append\((.*)\)", text)
    parts = re.findall(r"(?:[^,()]|\([^()]*\))+", append.group(1)) if append else [text]
    result = []
    for part in parts:
        offset = re.fullmatch(r"Offset\(([\w.-]+),([+-]?\d+)\)", part)
        if re.fullmatch(r"[+-]?\d+", part) and append:
            result.append((previous, int(part)))
        elif offset:
            result.append((offset.group(1), int(offset.group(2))))
        elif re.fullmatch(r"[A-Za-z_][\w.-]*", part):
            result.append((part, 0))
        else:
            raise UsageError(
                f"{where}: cannot read the input {part!r}; wanted a layer, "
                "Offset(layer,-3) or Append(-3,0,3)"
            )
        if result[-1][0] not in names:
            hint = _nearest(result[-1][0], sorted(names))
            raise UsageError(f"{where}: no layer {result[-1][0]!r} above; {hint}")
    return result


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.4)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
