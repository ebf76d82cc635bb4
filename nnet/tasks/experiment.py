"""An experiment directory: made for a training run, or opened again to resume it.

Holds `config.toml network.xconfig den.npz phones.txt features.toml inputs.toml receipt.json`,
compiled numerators in `numerators/`, and `ivector.pt`, which makes i-vectors, if the network takes
any; then `<iter>.pt train.jsonl tensorboard/` from train.py and `final.pt` from combination.
`inputs.toml` says which data, lang and seed it was trained with, so that `combine` and a resumed
run need not be told again.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import torch

from chainstitch.nnet.chain import ChainLoss
from chainstitch.nnet.chain.graph_file import FOLDER
from chainstitch.nnet.chain.supervision import NumeratorStore
from chainstitch.nnet.layers import Affine
from chainstitch.nnet.nets import Network
from chainstitch.nnet.nets.xconfig import OUTPUTS
from chainstitch.nnet.parallel.ranks import Ranks
from chainstitch.nnet.tasks.material import (
    Inputs,
    SpeechExamples,
    estimate_first_layer,
    load_chain,
    load_examples,
)
from chainstitch.nnet.tasks.run_directory import (
    CONFIG,
    INPUTS,
    begin,
    pick_device,
    schedule_of,
    wants_half,
    write_settings,
)
from chainstitch.nnet.tasks.speech_config import TrainConfig
from chainstitch.nnet.train.averaged_jobs import ParallelJobs
from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.nnet.train.plan import BatchPlan
from chainstitch.nnet.train.shares import Shares, num_iterations
from chainstitch.nnet.train.trainer import Trainer
from chainstitch.utils import config as configs
from chainstitch.utils.data.features import CONFIG as FEATURES_TOML
from chainstitch.utils.data.features import FeatureReader
from chainstitch.utils.data.ivectors import MODEL, IvectorReader, digest
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory, atomic_file, directory_beside
from chainstitch.utils.lang.directory import PHONES

logger = logging.getLogger(__name__)


def start_training(
    config: TrainConfig,
    data: Path,
    valid: Path,
    lang: Path,
    den: Path,
    out: Path,
    ali: Path | None = None,
    valid_ali: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    num_threads: int = 0,
    resume: bool = False,
    overwrite: bool = False,
    parallel: ParallelJobs | None = None,
    ranks: Ranks | None = None,
    nj: int = 0,
) -> Trainer:
    """Makes (or reopens) the experiment directory `out` and a `Trainer` ready to `run()`.

    Of several `ranks` the first makes the directory, and the others read it. `nj` processes compile
    numerators (0: one for each core), which are kept in the directory.

    Raises:
        UsageError: `out` exists and neither resume nor overwrite is asked for; a bad config.
        UserError: inputs are missing or damaged, or do not fit a run that is to be resumed.
    """
    ranks = ranks or Ranks()
    if ranks.size > 1 and config.training.jobs_final > 1:
        raise UsageError(
            "training.jobs_final > 1 averages models of separate jobs, --processes (or torchrun) "
            "has them share each minibatch; set training.jobs_initial and jobs_final to 1, or "
            "leave that out"
        )
    if ranks.rank:
        ranks.wait()
        trainer = join_training(out, device, num_threads, ranks)
        if resume:
            trainer.resume()
        return trainer
    device = pick_device(device)
    if num_threads:
        torch.set_num_threads(num_threads)
    inputs = Inputs(
        str(data), str(valid), str(lang), seed, str(ali or ""), str(valid_ali or ali or "")
    )
    resuming = begin(out, config, inputs, resume, overwrite)
    if resuming:
        _check_same_files(out, inputs, den)
    with directory_beside(out) as beside:
        keep = (out if resuming else beside) / FOLDER
        trainer, network, store = _make_trainer(
            config, inputs, den, out, device, parallel, ranks, keep, nj
        )  # fmt: skip
        examples = trainer.examples
        assert isinstance(examples, SpeechExamples) and isinstance(trainer.valid, SpeechExamples)
        if resuming:
            _check_same_extractor(out, examples.ivectors)
        else:
            for part in (examples, trainer.valid):
                part.check_features()
            estimate_first_layer(config, inputs, store, network)
            # everything was found good: now touch the disk
            with atomic_directory(out, overwrite) as directory:
                _write_directory(directory, config, inputs, den, data, network.num_outputs)
                if keep.is_dir():
                    keep.rename(directory / FOLDER)
                if examples.ivectors is not None:  # for audio files of one's own
                    (directory / MODEL).write_bytes(examples.ivectors.model())
        if resuming and not trainer.resume():
            logger.info("%s has no checkpoint yet; starting from the beginning", out)
            estimate_first_layer(config, inputs, store, network)
    ranks.wait()
    return trainer


def join_training(
    exp: Path, device: str = "auto", num_threads: int = 0, ranks: Ranks | None = None
) -> Trainer:
    """The training that `start_training` began in `exp`, for another process of it.

    Raises:
        UserError: `exp` is no such directory, or the inputs are gone.
    """
    if num_threads:
        torch.set_num_threads(num_threads)
    config = configs.load(exp / CONFIG, TrainConfig)
    inputs = configs.load(exp / INPUTS, Inputs)
    return _make_trainer(
        config, inputs, exp / "den.npz", exp, pick_device(device), None, ranks, exp / FOLDER
    )[0]


def _make_trainer(
    config: TrainConfig,
    inputs: Inputs,
    den: Path,
    out: Path,
    device: str,
    parallel: ParallelJobs | None,
    ranks: Ranks | None,
    keep: Path,
    nj: int = 1,
) -> tuple[Trainer, Network, NumeratorStore]:
    chain, store = load_chain(den, Path(inputs.lang), config, keep, nj)
    torch.manual_seed(inputs.seed)
    pdfs = chain.denominator.num_pdfs
    network = Network(config.network.xconfig, pdfs, config.network.subsampling)
    _check_features(FeatureReader(inputs.data), FeatureReader(inputs.valid), network)
    network.bf16 = wants_half(config.training.precision, device)
    _set_xent_branch(network, chain, config.training.criterion)
    loss, examples, valid_examples = load_examples(config, inputs, chain, store, network)
    training, optim = config.training, config.optim
    plan = BatchPlan(
        len(examples), training.minibatch_size, training.epochs,
        num_iterations(int(examples.frames.sum()), training.epochs, training.frames_per_iteration),
        inputs.seed, training.frame_shift,
        MinibatchRules(training.minibatch_rule) if training.minibatch_rule else None,
        examples.frames.tolist(),
    )  # fmt: skip
    trainer = Trainer(
        network, loss, examples, valid_examples,
        Shares(plan, training.jobs_initial, training.jobs_final),
        schedule_of(optim, training.dropout_schedule),
        out, inputs.seed, device, optim.natural_gradient, optim.momentum, parallel=parallel,
        accumulate=training.accumulate, ranks=ranks,
    )  # fmt: skip
    return trainer, network, store


def _set_xent_branch(network: Network, chain: ChainLoss, criterion: str) -> None:
    """Gives the xent branch's output layer its learning rate, unless the xconfig has one."""
    branch = OUTPUTS[1]
    there = branch in network.output_names
    wanted = chain.wants_xent and criterion == "lfmmi"
    if there != wanted:
        raise UsageError(
            f"the xconfig has {'an' if there else 'no'} output-layer name={branch}, and "
            f"chain.xent_regularize is {chain.xent_regularize} with training.criterion = "
            f"{criterion!r}; LF-MMI wants both (0.1 is usual) or neither, cross-entropy neither"
        )
    if there:
        spec = next(spec for spec in network.specs if spec.name == branch)
        if "learning-rate-factor" not in spec.options:
            for layer in network.layers[branch].modules():
                if isinstance(layer, Affine):
                    layer.learning_rate_factor = chain.xent_learning_rate_factor


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


def _check_same_files(out: Path, inputs: Inputs, den: Path) -> None:
    files = ((out / "den.npz", den), (out / FEATURES_TOML, Path(inputs.data) / FEATURES_TOML))
    for ours, given in files:
        if given.is_file() and ours.read_bytes() != given.read_bytes():
            raise UsageError(
                f"{given} is not the one that {out} was begun with; give it a new --out, or "
                "--overwrite to start afresh"
            )


def _check_same_extractor(out: Path, ivectors: IvectorReader | None) -> None:
    if ivectors is not None and (
        not (out / MODEL).is_file() or digest((out / MODEL).read_bytes()) != ivectors.extractor
    ):
        raise UsageError(
            f"{ivectors.path} is of another extractor than {out / MODEL}, which the run was begun "
            "with; give it a new --out, or --overwrite to start afresh"
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
    write_settings(out, config, inputs, num_pdfs=num_pdfs)
