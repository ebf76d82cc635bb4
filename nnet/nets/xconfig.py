"""Networks from Kaldi's xconfig text.

    input name=input dim=40
    relu-batchnorm-layer name=tdnn1 dim=256 input=Append(-1,0,1)
    relu-batchnorm-layer name=tdnn2 dim=256 input=Append(-3,0,3)
    output-layer name=output

One line a layer: its type, then key=value pairs. `input` defaults to the layer above and may be any
descriptor (descriptors.py). Unknown types and keys are errors that name the nearest known one. '#'
starts a comment. Variables are the shell's to expand: Kaldi keeps the expanded text as
configs/network.xconfig of an experiment.

    input                  dim. The frames' is called `input`, if there are two; the other,
                           `ivector`, has one row a sequence: write ReplaceIndex(ivector,t,0)
    fixed-affine-layer     not trained: estimated from data (nets/lda.py), until then the identity.
                           Kaldi's affine-transform-file is accepted and not read
    relu-layer, relu-renorm-layer, relu-batchnorm-layer, each also as ...-dropout-layer
                           dim [bottleneck-dim: a linear layer before] [target-rms=1]
                           [self-repair-scale=0: in Kaldi 1e-5] [dropout-proportion]
                           [dropout-per-dim=false] [dropout-per-dim-continuous=false]: affine, ReLU,
                           normalisation, dropout (0.5 in a dropout layer; of 0 where a schedule is
                           to raise it)
    affine-layer           dim
    linear-component       dim [orthonormal-constraint=0]: without bias (layers/linear.py)
    no-op-component        hands its input on
    batchnorm-component    [target-rms=1] normalises its input (no parameters)
    idct-layer             [cepstral-lifter=22] MFCC back to log mel energies
    freq-warp-layer        [max-warp=0.1] in training, stretches each sequence's mel axis at random
    spec-augment-layer     [freq-max-proportion=0.5] [time-zeroed-proportion=0.2]
                           [time-mask-max-frames=20] in training, zeroes a band of dimensions and
                           stretches of frames at random
    fast-lstmp-layer       cell-dim [recurrent-projection-dim, non-recurrent-projection-dim:
                           cell-dim / 4] [delay=-1] [decay-time=0: none] [clipping-threshold=30]
                           [zeroing-threshold=15] [self-repair-scale-nonlinearity=1e-5]
                           [dropout-proportion: of gates, frame by frame] an LSTM; delay in frames,
                           above 0 looking ahead
    fast-lstm-layer        the same without projection
    lstmp-layer            the older one, gate by gate; its dropout is by element unless
                           dropout-per-frame=true
    tdnnf-layer            dim bottleneck-dim [time-stride=1] [bypass-scale=0.66]
                           [dropout-proportion: continuous, of whole sequences]
    prefinal-layer         big-dim small-dim
    output-layer           [dim: number of pdfs] [bottleneck-dim] [output-delay=0]
                           [include-log-softmax]. `output` is the network's; `output-xent` a second
                           one, for training. Kaldi's default of include-log-softmax is true; here
                           it is false for `output`, as chain models want it

What has parameters also takes max-change (1.5: output layers, matrices of fast LSTMs; else 0.75),
learning-rate-factor=1, l2-regularize=0 and ng-affine-options="rank-in=20 rank-out=80" or
ng-linear-options, which layer_options.py lists with all else.

This file only reads lines; `build.py` makes their layers and `network.py` runs them.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass, field

from chainstitch.nnet.nets.descriptors import Parts, nearest, parse_descriptor, shortened
from chainstitch.nnet.nets.layer_options import FIXED, KEYS, REQUIRED, Number, Value
from chainstitch.utils.errors import UsageError

OUTPUTS = ("output", "output-xent")
IVECTOR = "ivector"  # the name of the input that has one row a sequence
# a key begins behind a space; what it is made of is given back to no other part of the pattern, so
# that a long word costs no more than its length
_KEY = re.compile(r"""(?:^|(?<=\s))([^\s="']++)\s*+=\s*+""")
_QUOTED = re.compile(r"""(?:"([^"]*)"|'([^']*)')(?:\s+|$)""")
MAX_LETTERS = 64  # of a name, which is in many messages
_BOOLEANS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class LayerSpec:
    """One line: its type, name, what it reads, and numbers by key.

    Of ng-affine-options="rank-in=20" the key is "ng-affine-options.rank-in"; true is 1. `number` is
    the line's, for messages.
    """

    kind: str
    name: str
    parts: Parts
    options: dict[str, float] = field(default_factory=dict)
    number: int = 0


def parse_xconfig(text: str) -> list[LayerSpec]:
    """Parses the text into layers, in order.

    Raises:
        UsageError: with the line number: an unknown type, key or descriptor, a missing dim, a
            number out of bounds, a name used twice, an input that is not above; or the inputs or
            outputs are not as above.
    """
    layers: list[LayerSpec] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        where = f"xconfig line {number} ({shortened(line)!r})"
        layer = _parse_line(line, where, layers)
        if layer.name in {other.name for other in layers}:
            raise UsageError(f"{where}: the name {layer.name!r} is used twice; rename one of them")
        layers.append(dataclasses.replace(layer, number=number))
    inputs = [layer.name for layer in layers if layer.kind == "input"]
    if not inputs or layers[0].kind != "input":
        raise UsageError("xconfig: the first line must be `input name=input dim=...`")
    if len([name for name in inputs if name != IVECTOR]) != 1:
        raise UsageError(
            f"xconfig: found the inputs {', '.join(inputs)}; wanted one with name=input, of "
            f"frames, and at most one other, with name={IVECTOR}, of sequences"
        )
    outputs = [layer.name for layer in layers if layer.kind == "output-layer"]
    if not outputs or (len(outputs) > 1 and sorted(outputs) != sorted(OUTPUTS)):
        found = f"found {', '.join(outputs)}" if outputs else "found none"
        raise UsageError(
            f"xconfig: {found}; wanted `output-layer name=output` as the last line, and at most "
            "one other output, `output-layer name=output-xent`"
        )
    return layers


def _parse_line(line: str, where: str, above: list[LayerSpec]) -> LayerSpec:
    kind, _, rest = line.partition(" ")
    if kind not in KEYS:
        hint = nearest(kind, list(KEYS))
        raise UsageError(f"{where}: unknown layer type {shortened(kind)!r}; {hint}")
    variable = re.search(r"\$\w+|\$\{\w+\}", rest)
    if variable:
        raise UsageError(
            f"{where}: found the variable {variable[0]}; write its value, as in "
            "configs/network.xconfig of a Kaldi experiment"
        )
    pairs = _pairs(rest.strip(), where)
    values = dict(pairs)
    if len(values) != len(pairs):
        raise UsageError(f"{where}: a key is given twice")
    name = values.pop("name", "")
    if not re.fullmatch(r"[A-Za-z_][\w.-]*", name) or len(name) > MAX_LETTERS:
        raise UsageError(
            f"{where}: name={shortened(name)!r} is missing or not a name of at most {MAX_LETTERS} "
            "letters; give name=tdnn1, say"
        )
    parts = [] if kind == "input" else _parse_input(values.pop("input", ""), where, above)
    known = KEYS[kind]
    options: dict[str, float] = {}
    for key, value in values.items():
        if key not in known:
            hint = nearest(key, [*known, "name", *(["input"] if kind != "input" else [])])
            raise UsageError(f"{where}: unknown key {shortened(key)!r}; {hint}")
        only, reason = FIXED.get(key, (value, ""))
        if value != only:
            raise UsageError(f"{where}: {key} wants {only}, found {shortened(value)!r}: {reason}")
        options |= _values(key, value, known[key], where)
    for key in REQUIRED.get(kind, ()):
        if key not in options:
            raise UsageError(f"{where}: {key} is missing; add {key}=...")
    return LayerSpec(kind, name, parts, options)


def _pairs(text: str, where: str) -> list[tuple[str, str]]:
    """Keys and values, in order: x=1 y="a b" z=Append(-1, 0); in time linear in the text."""
    pairs, place = [], 0
    while place < len(text):
        key = _KEY.match(text, place)
        if key is None:
            raise UsageError(f"{where}: cannot read {shortened(text[place:])!r}; wanted key=value")
        quoted = _QUOTED.match(text, key.end())
        if quoted:
            value, place = quoted[1] or quoted[2] or "", quoted.end()
        else:
            behind = _KEY.search(text, key.end())
            end = behind.start() if behind else len(text)
            value, place = text[key.end() : end].strip(), end
            if re.search("[=\"']", value):
                raise UsageError(f"{where}: cannot read {shortened(value)!r}; wanted key=value")
        pairs.append((key[1], value))
    return pairs


def _values(key: str, value: str, kind: Value, where: str) -> dict[str, float]:
    """The numbers of one key."""
    if isinstance(kind, dict):
        found: dict[str, float] = {}
        for item in value.split():
            name, _, text = item.partition("=")
            if name not in kind:
                hint = nearest(name, list(kind))
                raise UsageError(f"{where}: unknown option {shortened(name)!r} of {key}; {hint}")
            found |= _values(f"{key}.{name}", text, kind[name], where)
        return found
    if isinstance(kind, Number):
        return {key: _number(key, value, kind, where)}
    if kind is str:
        return {}
    if value.lower() not in _BOOLEANS:
        raise UsageError(f"{where}: {key} wants true or false, found {shortened(value)!r}")
    return {key: _BOOLEANS[value.lower()]}


def _number(key: str, text: str, kind: Number, where: str) -> float:
    try:
        value = int(text) if kind.whole else float(text)
    except ValueError:
        value = math.nan
    if not kind.bounds.holds(value):
        raise UsageError(f"{where}: {key} wants {kind.wanted}, found {shortened(text)!r}")
    return value


def _parse_input(text: str, where: str, above: list[LayerSpec]) -> Parts:
    readable = [layer for layer in above if layer.kind != "output-layer"]
    if not readable:
        raise UsageError(f"{where}: nothing stands above to take input from; begin with `input`")
    parts = parse_descriptor(text, [layer.name for layer in readable], readable[-1].name, where)
    for term in (term for part in parts for term in part):
        if term.source == IVECTOR and not term.constant:
            raise UsageError(
                f"{where}: {IVECTOR} has one row a sequence; write ReplaceIndex({IVECTOR},t,0)"
            )
        if term.constant and term.source != IVECTOR:
            raise UsageError(
                f"{where}: ReplaceIndex wants the input {IVECTOR}, found {term.source!r}; write "
                f"{term.source} alone"
            )
    return parts
