"""final.pt from the last models of a run: what `chainstitch combine` does.

The two ways of mixing models are in combine.py and optimised.py; here the run is opened again,
with the inputs that its directory names, and the mixtures are measured on its examples.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from chainstitch.nnet.combine import optimised
from chainstitch.nnet.combine.average import State, running_average
from chainstitch.nnet.tasks.candidates import Candidates
from chainstitch.nnet.tasks.run import reopen
from chainstitch.nnet.tasks.run_directory import pick_device
from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UsageError, UserError

logger = logging.getLogger(__name__)

LAST = ("model", "finished", "num_iterations")  # what is wanted of the last model
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
    last = checkpoint.load(exp / f"{numbers[-1]}.pt", device, LAST)
    if not last["finished"]:
        logger.warning("training is unfinished: %d of %d", numbers[-1], last["num_iterations"])
    newest_first = numbers[::-1]
    if method == "average":
        best, said = _running_average(run, newest_first)
    else:
        # early models only harm: Kaldi takes none of the first half either
        newest_first = newest_first[: max(1, numbers[-1] // 2)]
        best, said = _optimised(run, newest_first, per_component, on)
    run.load(best)
    state = {
        "model": {k: v.cpu() for k, v in run.network.state_dict().items()},
        "method": method,
        "unit": run.train.unit,
        **run.facts,
        **said,
    }
    checkpoint.save(state, exp / "final.pt")
    return {k: v for k, v in state.items() if k != "model"}


def _running_average(run: Candidates, newest_first: list[int]) -> tuple[State, dict[str, Any]]:
    def evaluate(state: State) -> float:
        run.load(state)
        return run.objective(run.valid)

    models = (run.model(f"{n}.pt", run.device) for n in newest_first)
    with run.finite():
        best, scores = running_average(models, evaluate)
    count = scores.index(max(scores)) + 1
    weights = {"all": [1 / count] * count}
    return best, {
        "combined": count, "valid_objf": max(scores), "scores": scores, "weights": weights
    }  # fmt: skip


def _optimised(
    run: Candidates, newest_first: list[int], per_component: bool, on: str
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
