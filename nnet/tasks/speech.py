"""The task of speech recognisers: LF-MMI or cross-entropy, on whole utterances or chunks of them.

A run's directory holds, besides what all have, `network.xconfig den.npz phones.txt features.toml`,
compiled numerators in `numerators/`, and `ivector.pt`, which makes i-vectors, if the network takes
any.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from chainstitch.nnet.chain import ChainLoss
from chainstitch.nnet.chain.graph_file import FOLDER
from chainstitch.nnet.chain.loss import XENT
from chainstitch.nnet.layers import Affine
from chainstitch.nnet.loss.outcome import Loss
from chainstitch.nnet.nets import Network, parse_xconfig
from chainstitch.nnet.nets.xconfig import IVECTOR
from chainstitch.nnet.tasks.chunks import ChunkExamples
from chainstitch.nnet.tasks.first_layer import estimate_first_layer
from chainstitch.nnet.tasks.run_directory import wants_half
from chainstitch.nnet.tasks.speech_config import SpeechConfig, SpeechInputs
from chainstitch.nnet.tasks.speech_data import SpeechExamples, load_chain, load_examples
from chainstitch.nnet.tasks.task import Built, Place, Task
from chainstitch.nnet.train.job_plan import num_archives, num_pieces
from chainstitch.nnet.train.minibatch_rules import MinibatchRules
from chainstitch.nnet.train.plan import BatchPlan, frame_shifts
from chainstitch.utils import config as configs
from chainstitch.utils.data.features import CONFIG as FEATURES_TOML
from chainstitch.utils.data.features import (
    OF_TRAINING,
    FeatureConfig,
    FeatureReader,
    check_same_features,
)
from chainstitch.utils.data.ivectors import MODEL, IvectorReader, digest
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_file
from chainstitch.utils.hmm.topology import Leaves
from chainstitch.utils.lang.directory import PHONES

DEN = "den.npz"
NUM_STATISTICS = 1000  # utterances that batch-norm statistics of candidates are taken over
FRAME_SCALE = 0.1  # of log-likelihoods every 10 ms, against the graph: frames are not independent


@dataclasses.dataclass
class BuiltSpeech(Built):
    """With the pdfs of phones, and the examples' type known."""

    leaves: Leaves = dataclasses.field(kw_only=True)
    train: SpeechExamples
    valid: SpeechExamples
    network: Network


class Speech(Task[SpeechConfig, SpeechInputs, BuiltSpeech]):
    """See the module's text."""

    Config, Inputs = SpeechConfig, SpeechInputs

    def build(
        self, config: SpeechConfig, inputs: SpeechInputs, place: Place, device: str
    ) -> BuiltSpeech:
        """What the run trains; the denominator graph is the one that was written, if any.

        Raises:
            UsageError: a config that does not fit the inputs.
            UserError: inputs are missing, damaged, or of different phones or features.
        """
        _check_backend(config.chain.backend, device)
        den = Path(inputs.den) if place.written is None else place.written / DEN
        chain, store = load_chain(den, Path(inputs.lang), config, place.keep / FOLDER, place.nj)
        training, subsampling = config.training, config.network.subsampling
        torch.manual_seed(inputs.seed)
        network = Network(config.network.xconfig, chain.denominator.num_pdfs, subsampling)
        readers = FeatureReader(inputs.data), FeatureReader(inputs.valid)
        if place.written is not None:
            settings = configs.load(place.written / FEATURES_TOML, FeatureConfig)
            for reader in readers:
                remedy = "put back the features that it was trained on, or train again"
                check_same_features(settings, place.written, reader, remedy)
        _check_features(*readers, network)
        network.bf16 = wants_half(training.precision, device)
        _set_xent_branch(network, chain, training.criterion)
        loss, train, valid = load_examples(config, inputs, chain, store, network)
        archives = num_archives(int(train.frames.sum()), training.frames_per_iteration)
        plan = BatchPlan(
            len(train), training.minibatch_size, training.passes,
            num_pieces(training.passes, archives),
            inputs.seed, frame_shifts(subsampling) if training.frame_shift else (0,),
            MinibatchRules(training.minibatch_rule) if training.minibatch_rule else None,
            train.frames.tolist(), training.jobs,
        )  # fmt: skip
        measured: Loss = loss
        if loss is chain:
            measured = ChainLoss(chain.denominator, chain.leaky, 0.0, chain.backend)
        return BuiltSpeech(
            network, config.losses.to(loss), measured, train, valid, plan, NUM_STATISTICS,
            training.dropout_schedule, leaves=store.leaves,
        )  # fmt: skip

    def check_data(self, built: BuiltSpeech) -> None:
        """Reads features, so that damaged ones are found before training."""
        for examples in (built.train, built.valid):
            examples.check_features()

    def initialise(self, config: SpeechConfig, inputs: SpeechInputs, built: BuiltSpeech) -> None:
        """Estimates the LDA-like first layer, if there is one."""
        estimate_first_layer(config, inputs, built.leaves, built.network)

    def write(
        self, directory: Path, config: SpeechConfig, inputs: SpeechInputs, built: BuiltSpeech
    ) -> dict[str, Any]:
        """Copies what decoding will want."""
        with atomic_file(directory / "network.xconfig") as stream:
            stream.write(config.network.xconfig)
        shutil.copyfile(inputs.den, directory / DEN)
        # what a decoding graph must agree with
        shutil.copyfile(Path(inputs.lang) / PHONES, directory / PHONES)
        shutil.copyfile(Path(inputs.data) / FEATURES_TOML, directory / FEATURES_TOML)
        if built.train.ivectors is not None:  # for audio files of one's own
            (directory / MODEL).write_bytes(built.train.ivectors.model())
        return {"num_pdfs": built.network.num_outputs}

    def check_same(self, directory: Path, config: SpeechConfig, inputs: SpeechInputs) -> None:
        """Compares denominator, features' settings and i-vector extractor."""
        given_files = (Path(inputs.den), Path(inputs.data) / FEATURES_TOML)
        for ours, given in zip((DEN, FEATURES_TOML), given_files, strict=True):
            if given.is_file() and (directory / ours).read_bytes() != given.read_bytes():
                raise UsageError(
                    f"{given} is not the one that {directory} was begun with; give it a new --out, "
                    "or --overwrite to start afresh"
                )
        if any(spec.name == IVECTOR for spec in parse_xconfig(config.network.xconfig)):
            _check_same_extractor(directory, IvectorReader(inputs.data))

    def facts(self, config: SpeechConfig, built: BuiltSpeech) -> dict[str, Any]:
        """Shapes; what makes log-likelihoods of a softmax (infer/outputs.py); the extractor."""
        network = built.network
        facts: dict[str, Any] = {
            "num_outputs": network.num_outputs, "subsampling": network.subsampling
        }  # fmt: skip
        if isinstance(built.train, ChunkExamples) and (
            config.training.criterion == "cross_entropy"
        ):
            count = built.train.label_counts(network.num_outputs)
            prior = (count + 1) / (count + 1).sum()
            facts["log_prior"] = prior.log().float()
            facts["acoustic_scale"] = FRAME_SCALE * network.subsampling
        if built.train.ivectors is not None:
            facts["ivector_extractor"] = built.train.ivectors.extractor
        return facts

    def open_network(self, exp: Path, config: SpeechConfig, facts: dict[str, Any]) -> Network:
        """The network that the config describes."""
        network = Network(
            config.network.xconfig, int(facts["num_outputs"]), config.network.subsampling
        )
        network.ivector_extractor = str(facts.get("ivector_extractor", ""))
        return network


def _set_xent_branch(network: Network, chain: ChainLoss, criterion: str) -> None:
    """Gives the xent branch's output layer its learning rate, unless the xconfig has one."""
    branch = XENT
    there = branch in network.output_names
    wanted = bool(chain.taps) and criterion == "lfmmi"
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


def _check_backend(backend: str, device: str) -> None:
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"  # as in tests
    if backend == "gpu" and not device.startswith("cuda") and not interpreted:
        raise UsageError(
            f'chain.backend = "gpu" wants a GPU, and training would be on {device!r}; set '
            'chain.backend = "auto"'
        )


def _check_features(train: FeatureReader, valid: FeatureReader, network: Network) -> None:
    ours, theirs = dataclasses.asdict(train.config), dataclasses.asdict(valid.config)
    different = [k for k in ours if ours[k] != theirs[k] and k not in OF_TRAINING]
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


def _check_same_extractor(out: Path, ivectors: IvectorReader) -> None:
    model = out / MODEL
    if not model.is_file() or digest(model.read_bytes()) != ivectors.extractor:
        raise UsageError(
            f"{ivectors.path} is of another extractor than {out / MODEL}, which the run was begun "
            "with; give it a new --out, or --overwrite to start afresh"
        )
