"""xconfigs that cannot be: one line names line, layer and key, in no time and little memory."""

from __future__ import annotations

import time

import pytest

from chainstitch.nnet.nets import Network, parse_xconfig
from chainstitch.nnet.nets.layer_options import KEYS, Number
from chainstitch.utils.errors import UsageError

LONG = "x" * 60_000

# of a layer called bad, on line 2, with keys behind its name: what is said
RELU = [
    ("dim=0", "dim wants a whole number, 1 to 1000000, found '0'"),
    ("dim=-1", "dim wants a whole number, 1 to 1000000, found '-1'"),
    ("dim=1000000000", "dim wants a whole number, 1 to 1000000, found '1000000000'"),
    ("dim=1.5", "dim wants a whole number"),
    (f"dim={'9' * 60_000}", "dim wants a whole number"),
    ("dim=8 bottleneck-dim=0", "bottleneck-dim wants a whole number, 1 to 1000000, found '0'"),
    ("dim=8 learning-rate-factor=-1", "learning-rate-factor wants 0 or more, found '-1'"),
    ("dim=8 learning-rate-factor=nan", "learning-rate-factor wants 0 or more, found 'nan'"),
    ("dim=8 l2-regularize=-1e-3", "l2-regularize wants 0 or more, found '-1e-3'"),
    ("dim=8 l2-regularize=inf", "l2-regularize wants 0 or more, found 'inf'"),
    ("dim=8 max-change=nan", "max-change wants 0 or more, found 'nan'"),
    ("dim=8 max-change=-0.75", "max-change wants 0 or more"),
    ("dim=8 target-rms=0", "target-rms wants above 0, found '0'"),
    ("dim=8 target-rms=nan", "target-rms wants above 0, found 'nan'"),
    ("dim=8 self-repair-scale=-1", "self-repair-scale wants 0 or more"),
    ("dim=8 dropout-proportion=nan", "dropout-proportion wants 0 to 1, found 'nan'"),
    ("dim=8 dropout-proportion=-1", "dropout-proportion wants 0 to 1, found '-1'"),
    ("dim=8 ng-affine-options='rank-in=0'", "ng-affine-options.rank-in wants a whole number, 1"),
    ("dim=8 ng-affine-options='rank-out=1.5'", "ng-affine-options.rank-out wants a whole number"),
    ("dim=8 ng-affine-options='rank-in=nan'", "ng-affine-options.rank-in wants a whole number"),
    ("dim=8 ng-affine-options='update-period=0'", "update-period wants a whole number, 1 to"),
    ("dim=8 ng-affine-options='update-period=-4'", "update-period wants a whole number, 1 to"),
    ("dim=8 ng-affine-options='num-samples-history=0'", "num-samples-history wants above 0"),
    ("dim=8 ng-affine-options='num-samples-history=nan'", "num-samples-history wants above 0"),
    ("dim=8 ng-affine-options='alpha=-1'", "ng-affine-options.alpha wants 0 or more, found '-1'"),
    ("dim=8 ng-affine-options='alpha=nan'", "ng-affine-options.alpha wants 0 or more"),
    ("dim=8 ng-affine-options='param-stddev=-1'", "param-stddev wants 0 or more"),
    ("dim=8 ng-affine-options='l2-regularize=nan'", "ng-affine-options.l2-regularize wants 0"),
    ("dim=8 input=Append(-100000000,0)", "an offset wants -10000 to 10000 frames"),
    (f"dim=8 input=Offset(input,{'9' * 60_000})", "cannot read the input"),
    ("dim=8 input=Scale(1e400,input)", "a scale wants -1000000 to 1000000, found 1e400"),
    (f"dim=8 input=Append({'0,' * 30_000}0)", "at most 2000 names, numbers and brackets"),
    (f"dim=8 input={'(' * 60_000}", "at most 2000 names, numbers and brackets"),
    (f"dim=8 input={'Sum(' * 400}", "at most 50 brackets in one another, found 400"),
    (f"dim=8 input={LONG}", "no layer 'xxx"),
    (f"dim=8 {LONG}", "dim wants a whole number"),
    (f"dim=8 {LONG}=1", "unknown key 'xxx"),
    (f"dim=8 input='{LONG}", "cannot read \"'xxx"),
    (f"dim=8 {'=' * 60_000}", "cannot read '8 ===="),
    (f"dim=8 {' ' * 60_000}x", "dim wants a whole number"),
    (f"dim=8 {'a b ' * 20_000}", "dim wants a whole number"),
]  # fmt: skip

LINES = [  # whole lines
    ("fast-lstmp-layer name=bad cell-dim=1", "line 2, layer 'bad': cell-dim=1 has no fourth part"),
    ("lstmp-layer name=bad cell-dim=3 recurrent-projection-dim=2", "layer 'bad': cell-dim=3"),
    ("fast-lstmp-layer name=bad cell-dim=8 delay=0", "layer 'bad': delay wants a multiple"),
    ("lstmp-layer name=bad cell-dim=8 delay=100000", "delay wants a whole number, -1000 to 1000"),
    ("lstmp-layer name=bad cell-dim=8 decay-time=nan", "decay-time wants 0 to 1000000, or -1"),
    ("lstmp-layer name=bad cell-dim=8 clipping-threshold=0", "clipping-threshold wants above 0"),
    ("fast-lstmp-layer name=bad cell-dim=8 lstm-nonlinearity-options='param-mean=inf'",
     "lstm-nonlinearity-options.param-mean wants a finite number, found 'inf'"),
    ("lstmp-layer name=bad cell-dim=8 dropout-proportion=-0.5", "wants 0 to 1, or -1, found '-0.5"),
    ("tdnnf-layer name=bad dim=8 bottleneck-dim=4 time-stride=1000000000", "time-stride wants a"),
    ("tdnnf-layer name=bad dim=8 bottleneck-dim=4 bypass-scale=nan", "bypass-scale wants 0 or"),
    ("tdnnf-layer name=bad dim=8 bottleneck-dim=4 dropout-proportion=0.6", "wants 0 to 0.5"),
    ("linear-component name=bad dim=8 orthonormal-constraint=nan", "wants a finite number"),
    ("spec-augment-layer name=bad time-mask-max-frames=0", "time-mask-max-frames wants a whole"),
    ("freq-warp-layer name=bad max-warp=0.2", "max-warp wants 0 or more, below 0.2"),
    ("idct-layer name=bad cepstral-lifter=nan", "cepstral-lifter wants 1 to 10000, or 0"),
    ("idct-layer name=bad cepstral-lifter=2", "layer 'bad': cepstral-lifter=2 makes one of 13"),
    ("batchnorm-component name=bad target-rms=-1", "target-rms wants above 0"),
    ("prefinal-layer name=bad big-dim=8 small-dim=0", "small-dim wants a whole number"),
    (f"{LONG} name=bad", "unknown layer type 'xxx"),
    (f"relu-layer name={LONG} dim=8", "is missing or not a name of at most 64 letters"),
    ("affine-layer name=a dim=100000\naffine-layer name=bad dim=1000000",
     "line 3, layer 'bad': a network of its 1e+11 weights, with the 1.3e+06 above, wants 400 GB"),
    ("\n".join(f"affine-layer name=a{n} dim=2 input=Append(-10000,0)" for n in range(12)),
     "layer 'a0': it is wanted -110000 frames from an output, and 100000 is the most"),
]  # fmt: skip


def refused(lines: str, said: str) -> None:
    """That a network is refused so, at once."""
    begin = time.process_time()
    with pytest.raises(UsageError) as caught:
        Network(f"input name=input dim=13\n{lines}\noutput-layer name=output", 10)
    text = str(caught.value)
    assert said in text and text.startswith("xconfig line ") and len(text) < 1000, text[:1000]
    assert time.process_time() - begin < 5.0


@pytest.mark.parametrize(("keys", "said"), RELU, ids=[keys[:50] for keys, _ in RELU])
def test_a_key_that_cannot_be(keys: str, said: str) -> None:
    refused(f"relu-renorm-layer name=bad {keys}", said)


@pytest.mark.parametrize(("lines", "said"), LINES, ids=[lines[:50] for lines, _ in LINES])
def test_a_line_that_cannot_be(lines: str, said: str) -> None:
    refused(lines, said)


@pytest.mark.parametrize(("outputs", "subsampling"), [(0, 3), (-5, 3), (10, 0), (10**13, 3)])
def test_outputs_that_cannot_be(outputs: int, subsampling: int) -> None:
    with pytest.raises(UsageError, match=r"1 or more outputs|of memory"):
        Network("input name=input dim=13\noutput-layer name=output", outputs, subsampling)


def test_every_number_of_every_layer_keeps_nan_and_infinity_out() -> None:
    seen = 0
    for kind, keys in KEYS.items():
        for key, value in keys.items():
            for name, number in (value if isinstance(value, dict) else {key: value}).items():
                if isinstance(number, Number):
                    seen += 1
                    for bad in (float("nan"), float("inf"), -float("inf")):
                        assert not number.bounds.holds(bad), (kind, key, name)
                else:
                    assert number in (bool, str), (kind, key, name)
    assert seen > 100


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("dim=8 input=Append(-1, 0, 1)", {"dim": 8}),
        ("dim = 8   max-change= 0.5", {"dim": 8, "max-change": 0.5}),
        ("ng-affine-options='rank-in=2 rank-out=3' dim=8",
         {"dim": 8, "ng-affine-options.rank-in": 2, "ng-affine-options.rank-out": 3}),
        ('dim=8 ng-affine-options="" input=input', {"dim": 8}),
        ("input= dim=8", {"dim": 8}),
    ],
)  # fmt: skip
def test_what_can_be_read_still_is(text: str, options: dict[str, float]) -> None:
    layers = parse_xconfig(
        f"input name=input dim=13\nrelu-layer name=a {text}\noutput-layer name=output"
    )
    assert layers[1].options == options and layers[1].number == 2
