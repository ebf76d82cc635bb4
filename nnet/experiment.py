"""An experiment directory: set up for training, reopened for combination.

Holds `config.toml network.xconfig den.npz phones.txt features.toml inputs.toml receipt.json`, then
`<iter>.pt train.jsonl tensorboard/` from train.py and `final.pt` from combination. `inputs.toml`
says which data, lang and seed it was trained with, so that `combine` and a resumed run need not be
told again.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import shlex
import shutil
import sys
import time
from pathlib import Path

import torch

from chainstitch.nnet import checkpoint, diagnostics
from chainstitch.nnet.chain import ChainLoss, DenominatorGraph, NumeratorCompiler
from chainstitch.nnet.chain.examples import ChainExamples
from chainstitch.nnet.chain.supervision import NumeratorStore
from chainstitch.nnet.combine import State, running_average
from chainstitch.nnet.nets import Network
from chainstitch.nnet.train import Schedule, Trainer, num_iterations
from chainstitch.nnet.train_config import TrainConfig
from chainstitch.utils import config as configs
from chainstitch.utils import log
from chainstitch.utils.data.batches import BatchPlan
from chainstitch.utils.data.features import CONFIG as FEATURES_TOML
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, atomic_file, refuse_existing
from chainstitch.utils.lang.directory import PHONES, check_phones, read_lang

logger = logging.getLogger(__name__)

NUM_STATISTICS = 1000  # utterances that batch-norm statistics of the final model are taken over
NUM_COMBINE_STATISTICS = 256  # and of each candidate


@dataclasses.dataclass
class Inputs:
    """What a run was made from, besides its config."""

    data: str
    valid: str
    lang: str
    seed: int


def pick_device(name: str) -> str:
    """ "auto" -> "cuda" if there is one, else "cpu"; others are checked.

    Raises:
        UsageError: an unknown device, or CUDA without a GPU.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not name.startswith("cuda"):
        raise UsageError(f"--device wants auto, cpu, cuda or cuda:N, found {name!r}")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError(
            f"--device {name}: torch {torch.__version__} sees no GPU; use --device cpu"
        )
    return name


def start_training(
    config: TrainConfig,
    data: Path,
    valid: Path,
    lang: Path,
    den: Path,
    out: Path,
    seed: int = 0,
    device: str = "auto",
    num_threads: int = 0,
    resume: bool = False,
    overwrite: bool = False,
) -> Trainer:
    """Makes (or reopens) the experiment directory `out` and a `Trainer` ready to `run()`.

    Raises:
        UsageError: `out` exists and neither resume nor overwrite is asked for; a bad config.
        UserError: inputs are missing or damaged, or do not fit a run that is to be resumed.
    """
    device = pick_device(device)
    if num_threads:
        torch.set_num_threads(num_threads)
    inputs = Inputs(str(data), str(valid), str(lang), seed)
    resuming = resume and not overwrite and (out / "config.toml").is_file()
    if resuming:
        _check_same(out, config, inputs, den)
    elif overwrite and out.exists() and not (out / "config.toml").is_file() and any(out.iterdir()):
        raise UsageError(
            f"{out} was not made by `train`, so --overwrite leaves it alone; delete it"
        )
    elif not overwrite:
        refuse_existing(out, overwrite)
    loss, store = _chain(den, lang, config)
    torch.manual_seed(seed)
    network = Network(config.network.xconfig, loss.denominator.num_pdfs, config.network.subsampling)
    reader, valid_reader = FeatureReader(data), FeatureReader(valid)
    _check_features(reader, valid_reader, network)
    examples = ChainExamples(reader, store, config.network.subsampling)
    valid_examples = ChainExamples(valid_reader, store, config.network.subsampling, max_dropped=1.0)
    training, optim = config.training, config.optim
    plan = BatchPlan(
        len(examples), training.minibatch_size, training.epochs,
        num_iterations(int(examples.frames.sum()), training.epochs, training.frames_per_iteration),
        seed, training.frame_shift,
    )  # fmt: skip
    trainer = Trainer(
        network, loss, examples, valid_examples, plan,
        Schedule(
            optim.initial_lr, optim.final_lr, optim.max_change, optim.backstitch.scale,
            optim.backstitch.interval, optim.backstitch.slow_start, optim.reset_natural_gradient,
        ),
        out, seed, device, optim.natural_gradient, optim.momentum,
    )  # fmt: skip
    if not resuming:
        for part in (examples, valid_examples):
            part.check_features()
        # everything was found good: now touch the disk
        with atomic_directory(out, overwrite) as directory:
            _write_directory(directory, config, inputs, den, data, loss.denominator.num_pdfs)
    elif not trainer.resume():
        logger.info("%s has no checkpoint yet; starting from the beginning", out)
    return trainer


def combine_models(exp: Path, device: str = "auto", max_models: int = 20) -> list[float]:
    """Writes `exp/final.pt`, the best running average of the last models; returns their objectives.

    Raises:
        UserError: no checkpoints, or inputs of the run are gone.
    """
    device = pick_device(device)
    if not (exp / "config.toml").is_file():
        raise UsageError(
            f"{exp} has no config.toml; give a directory that `chainstitch train` wrote"
        )
    config = configs.load(exp / "config.toml", TrainConfig)
    inputs = configs.load(exp / "inputs.toml", Inputs)
    numbers = checkpoint.iterations(exp)[-max_models:]
    if not numbers:
        raise UserError(f"{exp} has no <iter>.pt; run `chainstitch train ... --out {exp}` first")
    loss, store = _chain(exp / "den.npz", Path(inputs.lang), config)
    network = Network(
        config.network.xconfig, loss.denominator.num_pdfs, config.network.subsampling
    ).to(device)
    subsampling = config.network.subsampling
    examples = ChainExamples(FeatureReader(inputs.data), store, subsampling)
    valid = ChainExamples(FeatureReader(inputs.valid), store, subsampling, max_dropped=1.0)
    held_out = diagnostics.subset(valid)

    def refresh(count: int) -> None:
        diagnostics.refresh_statistics(
            network, examples, diagnostics.subset(examples, count), device
        )

    def evaluate(state: State) -> float:
        network.load_state_dict(state)
        refresh(NUM_COMBINE_STATISTICS)
        try:
            return diagnostics.objective(network, loss, valid, held_out, device)
        except FloatingPointError as error:
            raise UserError(
                f"{exp}: a model's output is not finite ({error}); train again with a lower "
                "optim.initial_lr"
            ) from None

    last = checkpoint.load(exp / f"{numbers[-1]}.pt", device, ("model", "num_iterations"))
    if numbers[-1] != last["num_iterations"]:
        logger.warning("training is unfinished: %d of %d", numbers[-1], last["num_iterations"])
    models = (checkpoint.load(exp / f"{n}.pt", device)["model"] for n in reversed(numbers))
    best, scores = running_average(models, evaluate)
    network.load_state_dict(best)
    refresh(NUM_STATISTICS)
    state = {
        "model": {k: v.cpu() for k, v in network.state_dict().items()},
        "num_outputs": network.num_outputs,
        "subsampling": network.subsampling,
        "combined": scores.index(max(scores)) + 1,
        "valid_objf": max(scores),
    }
    checkpoint.save(state, exp / "final.pt")
    return scores


def _chain(den: Path, lang: Path, config: TrainConfig) -> tuple[ChainLoss, NumeratorStore]:
    denominator = DenominatorGraph.load(den)
    language = read_lang(lang)
    check_phones(language, denominator.phones, den, "make it again with `chainstitch den-graph`")
    loss = ChainLoss(denominator, config.chain.leaky, config.chain.output_l2)
    return loss, NumeratorStore(language, NumeratorCompiler(denominator))


def _check_features(train: FeatureReader, valid: FeatureReader, network: Network) -> None:
    ours, theirs = dataclasses.asdict(train.config), dataclasses.asdict(valid.config)
    different = [k for k in ours if ours[k] != theirs[k] and k not in ("speed", "volume")]
    if different:
        raise UserError(
            f"{train.directory} and {valid.directory} differ in {different[0]}; run "
            "`chainstitch features` with one config for both"
        )
    if network.input_dim != train.config.num_ceps:
        raise UsageError(
            f"the xconfig's input has dim={network.input_dim}, but {train.directory} has "
            f"{train.config.num_ceps} features a frame; write input dim={train.config.num_ceps}"
        )


def _check_same(out: Path, config: TrainConfig, inputs: Inputs, den: Path) -> None:
    was = configs.dumps(configs.load(out / "config.toml", TrainConfig)).splitlines()
    now = configs.dumps(config).splitlines()
    was += configs.dumps(configs.load(out / "inputs.toml", Inputs)).splitlines()
    now += configs.dumps(inputs).splitlines()
    if was != now:
        changed = next((a, b) for a, b in zip(was + [""], now + [""], strict=False) if a != b)
        raise UsageError(
            f"{out} was begun with {changed[0]!r}, now {changed[1]!r} is asked for; give it a new "
            "--out, or --overwrite to start afresh"
        )
    files = ((out / "den.npz", den), (out / FEATURES_TOML, Path(inputs.data) / FEATURES_TOML))
    for ours, given in files:
        if given.is_file() and ours.read_bytes() != given.read_bytes():
            raise UsageError(
                f"{given} is not the one that {out} was begun with; give it a new --out, or "
                "--overwrite to start afresh"
            )


def _write_directory(
    out: Path, config: TrainConfig, inputs: Inputs, den: Path, data: Path, num_pdfs: int
) -> None:
    with atomic_file(out / "network.xconfig") as stream:
        stream.write(config.network.xconfig)
    shutil.copyfile(den, out / "den.npz")
    shutil.copyfile(
        Path(inputs.lang) / PHONES, out / PHONES
    )  # what a decoding graph must agree with
    shutil.copyfile(data / FEATURES_TOML, out / FEATURES_TOML)
    environment = log.environment()
    receipt = {
        "command": shlex.join(["chainstitch", *sys.argv[1:]]),
        "commit": environment.get("commit"),
        "versions": {k: v for k, v in environment.items() if k not in ("commit", "cpu", "gpu")},
        "hardware": f"{environment['cores']} cores of {environment['cpu']}, "
        f"GPU {environment['gpu']}",
        "seed": inputs.seed,
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "num_pdfs": num_pdfs,
    }
    with atomic_file(out / "receipt.json") as stream:
        json.dump(receipt, stream, indent=1)
    configs.save(inputs, out / "inputs.toml")
    configs.save(config, out / "config.toml")  # last: its presence means the directory is complete
