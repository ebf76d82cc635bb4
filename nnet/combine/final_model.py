"""final.pt from the last models of a run: what `chainstitch combine` does.

The two ways of mixing models are in combine.py and optimised.py; here the run is opened again,
with the inputs that its directory names, and the mixtures are measured on its examples.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from chainstitch.nnet.chain import ChainLoss
from chainstitch.nnet.chain.graph_file import FOLDER
from chainstitch.nnet.combine import optimised
from chainstitch.nnet.combine.average import State, running_average
from chainstitch.nnet.loss import FrameLoss
from chainstitch.nnet.nets import Network
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.nnet.tasks.image_experiment import is_image_run, reopen_images
from chainstitch.nnet.tasks.material import Inputs, SpeechExamples, load_chain, load_examples
from chainstitch.nnet.tasks.reopened import Reopened
from chainstitch.nnet.tasks.run_directory import pick_device
from chainstitch.nnet.tasks.speech_config import TrainConfig
from chainstitch.nnet.train.protocols import Loss
from chainstitch.utils import checkpoint
from chainstitch.utils import config as configs
from chainstitch.utils.errors import UsageError, UserError

logger = logging.getLogger(__name__)

NUM_STATISTICS = 1000  # utterances that batch-norm statistics of the final model are taken over
NUM_COMBINE_STATISTICS = 256  # and of each candidate
FRAME_SCALE = 0.1  # of log-likelihoods every 10 ms, against the graph: frames are not independent
METHODS, SETS = ("average", "bfgs"), ("valid", "train")


def combine_models(
    exp: Path,
    device: str = "auto",
    max_models: int = 20,
    method: str = "average",
    per_component: bool = False,
    on: str = "valid",
) -> dict[str, Any]:
    """Writes `exp/final.pt` from the last models; returns what it holds besides the model.

    By either method: `method`, `combined` (how many models), `valid_objf` (of the result), `scores`
    and `weights`. By "average", scores are the held-out objectives of the running averages. By
    "bfgs", scores, weights, `winner` and `evaluations` are those of `Combined`, scores on the
    examples of the set `on`, "valid" or "train"; `valid_objfs` are the same on held-out ones.

    Raises:
        UsageError: not an experiment directory; a method or set that there is not, or an option of
            "bfgs" without it.
        UserError: no checkpoints, one that is not finite, or inputs of the run are gone.
    """
    device = pick_device(device)
    if method not in METHODS:
        raise UsageError(f"--method wants {' or '.join(METHODS)}, found {method!r}")
    if on not in SETS:
        raise UsageError(f"--on wants {' or '.join(SETS)}, found {on!r}")
    for option, given in (("--per-component", per_component), ("--on train", on == "train")):
        if given and method != "bfgs":
            raise UsageError(f"{option} is about optimised weights; add --method bfgs")
    if not (exp / "config.toml").is_file():
        raise UsageError(
            f"{exp} has no config.toml; give a directory that `chainstitch train` wrote"
        )
    numbers = checkpoint.iterations(exp)[-max_models:]
    if not numbers:
        raise UserError(f"{exp} has no <iter>.pt; run `chainstitch train ... --out {exp}` first")
    run = reopen(exp, device)
    last = checkpoint.load(exp / f"{numbers[-1]}.pt", device, ("model", "num_iterations"))
    if numbers[-1] != last["num_iterations"]:
        logger.warning("training is unfinished: %d of %d", numbers[-1], last["num_iterations"])
    newest_first = numbers[::-1]
    if method == "average":
        best, said = _running_average(run, newest_first)
    else:
        # early models only harm: Kaldi takes none of the first half either
        newest_first = newest_first[: max(1, int(last["num_iterations"]) // 2)]
        best, said = _optimised(run, newest_first, per_component, on)
    run.load(best, final=True)
    state = {
        "model": {k: v.cpu() for k, v in run.network.state_dict().items()},
        "method": method,
        "unit": run.train.unit,
        **run.facts,
        **said,
    }
    checkpoint.save(state, exp / "final.pt")
    return {k: v for k, v in state.items() if k != "model"}


def reopen(exp: Path, device: str) -> Reopened:
    """A run that `train` or `train-image` began.

    Raises:
        UserError: its inputs are gone, or damaged.
    """
    if is_image_run(exp):
        return reopen_images(exp, device)
    config = configs.load(exp / "config.toml", TrainConfig)
    inputs = configs.load(exp / "inputs.toml", Inputs)
    chain, store = load_chain(exp / "den.npz", Path(inputs.lang), config, exp / FOLDER)
    pdfs, subsampling = chain.denominator.num_pdfs, config.network.subsampling
    network = Network(config.network.xconfig, pdfs, subsampling).to(device)
    loss, train, valid = load_examples(config, inputs, chain, store, network)
    bare: Loss = loss
    if loss is chain:
        bare = ChainLoss(chain.denominator, chain.leaky, 0.0, chain.backend)
    facts = {"num_outputs": pdfs, "subsampling": subsampling}
    facts |= _scores_of_frames(network, loss, train) | _extractor(train)
    return Reopened(
        exp, device, network, loss, bare, train, valid, NUM_COMBINE_STATISTICS, NUM_STATISTICS,
        facts,
    )  # fmt: skip


def _scores_of_frames(network: Network, loss: Loss, train: SpeechExamples) -> dict[str, Any]:
    """What makes log-likelihoods of a softmax, where the outputs are one: see infer.py."""
    if not (isinstance(loss, FrameLoss) and isinstance(train, ChunkExamples)):
        return {}
    count = train.label_counts(network.num_outputs)
    prior = (count + 1) / (count + 1).sum()
    scale = FRAME_SCALE * network.subsampling
    return {"log_prior": prior.log().float(), "acoustic_scale": scale}


def _extractor(train: SpeechExamples) -> dict[str, str]:
    """What made the i-vectors that the network was trained with, if it takes any."""
    reader = train.ivectors
    return {} if reader is None else {"ivector_extractor": reader.extractor}


def _running_average(run: Reopened, newest_first: list[int]) -> tuple[State, dict[str, Any]]:
    def evaluate(state: State) -> float:
        run.load(state)
        return run.objective(run.valid)

    models = (checkpoint.load(run.exp / f"{n}.pt", run.device)["model"] for n in newest_first)
    with run.finite():
        best, scores = running_average(models, evaluate)
    count = scores.index(max(scores)) + 1
    weights = {"all": [1 / count] * count}
    return best, {
        "combined": count, "valid_objf": max(scores), "scores": scores, "weights": weights
    }  # fmt: skip


def _optimised(
    run: Reopened, newest_first: list[int], per_component: bool, on: str
) -> tuple[State, dict[str, Any]]:
    held_out = []
    examples = run.valid if on == "valid" else run.train

    def objective(state: State) -> tuple[float, State]:
        return run.objective_and_gradient(examples, state)

    def evaluate(state: State) -> float:
        run.load(state)
        held_out.append(run.objective(run.valid))
        return held_out[-1] if on == "valid" else run.objective(run.train)

    names = [f"{n}.pt" for n in newest_first]
    with run.finite():
        found = optimised.combine(names, run.parameters, objective, evaluate, per_component)
    valid = dict(zip(found.scores, held_out, strict=True))
    return found.state, {
        "combined": 1 if found.winner == "last" else len(names),
        "valid_objf": valid[found.winner],
        "models": newest_first,
        "on": on,
        "scores": found.scores,
        "valid_objfs": valid,
        "weights": found.weights,
        "winner": found.winner,
        "evaluations": found.evaluations,
    }
