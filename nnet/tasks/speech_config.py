"""What the config of a speech recogniser (conf/*.toml) may say, with the defaults.

[graph] is used by `den-graph`, the rest by `train`. [optim] and [training] also have the keys of
options.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from chainstitch.nnet.chain.backends import BACKENDS
from chainstitch.nnet.loss.added import AddedLosses
from chainstitch.nnet.tasks.options import Optim, Training
from chainstitch.utils.bounds import SEED, check_fields
from chainstitch.utils.errors import UsageError

CRITERIA = ("lfmmi", "cross_entropy")


@dataclass
class Graph:
    """[graph]: the phone LM and its training text (phone_lm.py, supervision.py)."""

    ngram_order: int = field(
        default=4, metadata={"help": "phones that the LM sees at a time", "bounds": "[1, 20]"}
    )
    no_prune_order: int = field(
        default=3, metadata={"help": "n-grams up to here are all kept", "bounds": "[1, 20]"}
    )
    num_extra_states: int = field(
        default=2000, metadata={"help": "states of higher order", "bounds": "[0, 10000000]"}
    )
    silence_between: float = field(
        default=0.1,
        metadata={"help": "probability of a silence between two words", "bounds": "[0, 1]"},
    )
    silence_edges: float = field(
        default=0.8, metadata={"help": "and at each end", "bounds": "[0, 1]"}
    )
    shuffle_words: bool = field(
        default=False,
        metadata={"help": "permute each transcript's words, where their order is an accident"},
    )

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.no_prune_order <= self.ngram_order:
            raise ValueError(
                f"graph: wanted no_prune_order <= ngram_order, found {self.no_prune_order} "
                f"and {self.ngram_order}"
            )


@dataclass
class NetworkText:
    """[network]"""

    xconfig: str = field(metadata={"help": "the layers, see nets/xconfig.py"})
    subsampling: int = field(
        default=3, metadata={"help": "input frames per output frame", "bounds": "[1, 100]"}
    )


@dataclass
class Chain:
    """[chain]: LF-MMI, see chain/loss.py."""

    leaky: float = field(default=0.1, metadata={"help": "of the leaky HMM", "bounds": "[0, 1)"})
    output_l2: float = field(
        default=5e-5, metadata={"help": "l2 of the outputs", "bounds": "[0, inf)"}
    )
    out_of_range: float = field(
        default=0.0, metadata={"help": "l2 of outputs beyond +-30", "bounds": "[0, inf)"}
    )
    xent_regularize: float = field(
        default=0.0,
        metadata={
            "help": "weight of the xent branch; wants an output-xent layer",
            "bounds": "[0, inf)",
        },
    )
    backend: str = field(default="auto", metadata={"help": "auto, cpu, gpu, k2 or reference"})
    tolerance: int = field(
        default=5,
        metadata={
            "help": "input frames that a numerator may leave its alignment by",
            "bounds": "[0, 10000]",
        },
    )

    def __post_init__(self) -> None:
        check_fields(self)
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
class SpeechTraining(Training):
    """[training]: how much data and how it is cut up."""

    criterion: str = field(
        default="lfmmi",
        metadata={"help": "lfmmi; or cross_entropy, with the pdfs of alignments as labels"},
    )
    chunk_widths: str = field(
        default="",
        metadata={
            "help": "with alignments, utterances are cut into chunks of these input frames, as in "
            "140,100,160 (utils/data/chunks.py); empty: not cut"
        },
    )
    left_context: int = field(
        default=0,
        metadata={
            "help": "input frames around a chunk, for networks with a memory",
            "bounds": "[0, 10000]",
        },
    )
    right_context: int = field(
        default=0, metadata={"help": "the same behind it", "bounds": "[0, 10000]"}
    )
    deriv_truncate_margin: int = field(
        default=-1,
        metadata={
            "help": "derivatives go so many input frames (8, say) beyond a chunk and the network's "
            "own context (layers/deriv_range.py; Kaldi's --trainer.deriv-truncate-margin); -1: all",
            "bounds": "[-1, 10000]",
        },
    )
    minibatch_rule: str = field(
        default="",
        metadata={
            "help": "in place of minibatch_size, by length in frames, as in 200=64/800=16 "
            "(train/minibatch_rules.py)"
        },
    )
    frames_per_iteration: int = field(
        default=200_000,
        metadata={
            "help": "input frames that a job of an iteration trains on",
            "bounds": "[1, 1000000000000]",
        },
    )
    frame_shift: bool = field(
        default=True, metadata={"help": "show the subsampled network every frame in turn"}
    )
    dropout_schedule: str = field(
        default="",
        metadata={
            "help": "in place of the xconfig's proportions, as in 0,0@0.20,0.3@0.50,0 "
            "(train/dropout_schedule.py)"
        },
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.criterion not in CRITERIA:
            raise ValueError(
                f"training.criterion: wanted {' or '.join(CRITERIA)}, found {self.criterion!r}"
            )
        if self.deriv_truncate_margin >= 0 and not self.chunk_widths:
            raise ValueError(
                "training.deriv_truncate_margin is about chunks; set training.chunk_widths, or "
                "leave it out"
            )


@dataclass
class SpeechConfig:
    """A whole conf/*.toml."""

    network: NetworkText
    task: str = field(default="speech", metadata={"help": "what is trained"})
    graph: Graph = field(default_factory=Graph)
    chain: Chain = field(default_factory=Chain)
    optim: Optim = field(default_factory=Optim)
    training: SpeechTraining = field(default_factory=SpeechTraining)
    losses: AddedLosses = field(default_factory=AddedLosses)


@dataclass
class SpeechInputs:
    """What a run was made from, besides its config: directories, and the denominator's file.

    `ali` and `valid_ali` hold the alignments of `data` and of `valid`; they may be empty. In place
    of `ali` there may be `ali_lattice`, and numerators of both sets are then of lattices.
    """

    data: str
    valid: str
    lang: str
    den: str
    seed: int = field(metadata={"bounds": SEED})
    ali: str = ""
    valid_ali: str = ""
    ali_lattice: str = ""

    def __post_init__(self) -> None:
        if self.ali and self.ali_lattice:
            raise UsageError(
                "--ali and --ali-lattice are two ways to say what the numerators are made of; give "
                "one of them"
            )
        self.valid_ali = self.valid_ali or self.aligned

    @property
    def aligned(self) -> str:
        """The directory with the alignments of `data`, of whichever kind."""
        return self.ali or self.ali_lattice
