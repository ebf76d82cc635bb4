"""What a training config (conf/*.toml) may say, with the defaults.

Read by `bin/den_graph.py`, `bin/train.py` and `bin/combine.py`, which hand the values on; nothing
below them sees these classes. [graph] is used by `den-graph`, the rest by `train`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chainstitch.nnet.chain.backends import BACKENDS

CRITERIA = ("lfmmi", "cross_entropy")
PRECISIONS = ("float32", "bf16", "auto")


@dataclass
class Graph:
    """[graph]: the phone LM and its training text (phone_lm.py, supervision.py)."""

    ngram_order: int = 4
    no_prune_order: int = 3
    num_extra_states: int = 2000
    silence_between: float = 0.1
    silence_edges: float = 0.8
    shuffle_words: bool = False

    def __post_init__(self) -> None:
        for name in ("silence_between", "silence_edges"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"graph.{name} is a probability, found {getattr(self, name)}")
        if not 1 <= self.no_prune_order <= self.ngram_order:
            raise ValueError(
                f"graph: wanted 1 <= no_prune_order <= ngram_order, found {self.no_prune_order} "
                f"and {self.ngram_order}"
            )


@dataclass
class NetworkText:
    """[network]: xconfig text (nets/xconfig.py) and frame subsampling."""

    xconfig: str
    subsampling: int = 3


@dataclass
class Chain:
    """[chain]: LF-MMI, see chain/loss.py; `backend` as `forward_backward` has it, `tolerance`
    (input frames) of numerators around an alignment. `xent_regularize` wants an `output-xent`."""

    leaky: float = 0.1
    output_l2: float = 5e-5
    out_of_range: float = 0.0
    xent_regularize: float = 0.0
    backend: str = "auto"
    tolerance: int = 5

    def __post_init__(self) -> None:
        penalties = (self.output_l2, self.out_of_range, self.xent_regularize)
        if not 0 <= self.leaky < 1 or min(penalties) < 0:
            raise ValueError(
                "chain: wanted 0 <= leaky < 1, and output_l2, out_of_range and xent_regularize "
                f">= 0, found {self.leaky}, and {', '.join(map(str, penalties))}"
            )
        if self.tolerance < 0:
            raise ValueError(f"chain.tolerance: wanted frames >= 0, found {self.tolerance}")
        if self.backend not in BACKENDS:
            raise ValueError(
                f"chain.backend: wanted one of {', '.join(BACKENDS)}, found {self.backend!r}"
            )
        if self.backend == "k2" and self.leaky:
            raise ValueError(
                f"chain.backend: k2 has no leaky HMM, found chain.leaky = {self.leaky}; set "
                'chain.leaky = 0, or chain.backend = "cpu"'
            )


@dataclass
class BackstitchOptions:
    """[optim.backstitch]: scale 0 switches it off; slow_start in iterations."""

    scale: float = 0.0
    interval: int = 4
    slow_start: int = 15

    def __post_init__(self) -> None:
        if self.scale < 0 or self.interval < 1 or self.slow_start < 0:
            raise ValueError(
                "optim.backstitch: wanted scale >= 0, interval >= 1 and slow_start >= 0, found "
                f"{self.scale}, {self.interval} and {self.slow_start}"
            )


@dataclass
class Optim:
    """[optim]: learning rates are for summed gradients; per-layer limits stand in the xconfig.

    `max_change` is the global limit (0: none); `layer_max_change = false` ignores the xconfig's.
    Before each iteration the parameters are multiplied by 1 - `proportional_shrink` * learning
    rate, or by `shrink` if that is less and the sigmoid and tanh units are saturated.
    """

    initial_lr: float = 1e-3
    final_lr: float = 1e-4
    momentum: float = 0.0
    max_change: float = 2.0
    layer_max_change: bool = True
    natural_gradient: bool = True
    reset_natural_gradient: bool = False
    shrink: float = 1.0
    proportional_shrink: float = 0.0
    backstitch: BackstitchOptions = field(default_factory=BackstitchOptions)

    def __post_init__(self) -> None:
        if self.initial_lr <= 0 or self.final_lr <= 0 or self.max_change < 0:
            raise ValueError("optim: wanted initial_lr > 0, final_lr > 0 and max_change >= 0")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"optim.momentum: wanted 0 <= momentum < 1, found {self.momentum}")
        if self.momentum and self.backstitch.scale:
            raise ValueError("optim: backstitch does not go with momentum; set one of them to 0")
        if not 0 < self.shrink <= 1 or self.proportional_shrink < 0:
            raise ValueError(
                "optim: wanted 0 < shrink <= 1 and proportional_shrink >= 0, found "
                f"{self.shrink} and {self.proportional_shrink}"
            )
        largest = max(self.initial_lr, self.final_lr)
        if not 1.0 - self.proportional_shrink * largest > 0.5:
            raise ValueError(
                "optim: proportional_shrink times the learning rate must be below 0.5, found "
                f"{self.proportional_shrink} times {largest}"
            )


def check_precision(precision: str) -> None:
    """Raises ValueError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"training.precision: wanted {', '.join(PRECISIONS)}, found {precision!r}")


@dataclass
class Training:
    """[training]: how much data and how it is cut up.

    `criterion` is "lfmmi", or "cross_entropy" with the pdfs of alignments as labels. With
    alignments utterances are cut into chunks of `chunk_widths` ("140,100,160", see
    utils/data/chunks.py; empty: none), with `left_context` and `right_context` around them for
    networks with a memory: all in input frames. With `deriv_truncate_margin` of 0 or more input
    frames (8, say; Kaldi's --trainer.deriv-truncate-margin) derivatives go no further than that
    beyond a chunk and the network's own context (layers/deriv_range.py); -1 for no limit.

    `minibatch_rule` ("200=64/800=16", see nnet/train/minibatch_rules.py; sizes in frames) takes the
    place of `minibatch_size`; `dropout_schedule` ("0,0@0.20,0.3@0.50,0", optim/dropout_schedule.py)
    that of the xconfig's proportions.

    With `precision` "bf16" the network's matrix products are in bf16, LSTMs and all updates in
    float32; "auto" is bf16 on a GPU. A minibatch goes through the network in `accumulate` parts
    (nnet/train/step.py).
    `jobs_initial` to `jobs_final` jobs train in parallel in each iteration, each on
    `frames_per_iteration`, and their models are averaged (nnet/train/averaged_jobs.py).
    """

    criterion: str = "lfmmi"
    chunk_widths: str = ""
    left_context: int = 0
    right_context: int = 0
    deriv_truncate_margin: int = -1
    epochs: float = 6.0
    minibatch_size: int = 64
    minibatch_rule: str = ""
    frames_per_iteration: int = 200_000
    precision: str = "float32"
    accumulate: int = 1
    frame_shift: bool = True
    dropout_schedule: str = ""
    jobs_initial: int = 1
    jobs_final: int = 1

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.minibatch_size < 1 or self.frames_per_iteration < 1:
            raise ValueError(
                "training: wanted epochs > 0, minibatch_size >= 1 and frames_per_iteration >= 1"
            )
        check_precision(self.precision)
        if self.accumulate < 1:
            raise ValueError(f"training.accumulate: wanted parts >= 1, found {self.accumulate}")
        if min(self.jobs_initial, self.jobs_final) < 1:
            raise ValueError(
                "training: wanted jobs_initial and jobs_final >= 1, found "
                f"{self.jobs_initial} and {self.jobs_final}"
            )
        if self.criterion not in CRITERIA:
            raise ValueError(
                f"training.criterion: wanted {' or '.join(CRITERIA)}, found {self.criterion!r}"
            )
        if min(self.left_context, self.right_context) < 0:
            raise ValueError(
                "training: wanted left_context and right_context >= 0, found "
                f"{self.left_context} and {self.right_context}"
            )
        if self.deriv_truncate_margin < -1:
            raise ValueError(
                "training.deriv_truncate_margin: wanted input frames >= 0, or -1 for no limit, "
                f"found {self.deriv_truncate_margin}"
            )
        if self.deriv_truncate_margin >= 0 and not self.chunk_widths:
            raise ValueError(
                "training.deriv_truncate_margin is about chunks; set training.chunk_widths, or "
                "leave it out"
            )


@dataclass
class TrainConfig:
    """A whole conf/*.toml."""

    network: NetworkText
    graph: Graph = field(default_factory=Graph)
    chain: Chain = field(default_factory=Chain)
    optim: Optim = field(default_factory=Optim)
    training: Training = field(default_factory=Training)
