"""Training an i-vector model on a feature directory, and the i-vectors of one.

An experiment: `ivector.pt` (the model), `config.toml`, `features.toml` (of the training features,
which all others must agree with), `train.jsonl` (a line an iteration of EM), `receipt.json`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import math
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chainstitch.nnet.ivector.extractor import IvectorExtractor, Statistics
from chainstitch.nnet.ivector.front_end import FrontEnd, estimate_pca
from chainstitch.nnet.ivector.model import IvectorModel
from chainstitch.nnet.ivector.ubm import train_ubm
from chainstitch.utils import config as configs
from chainstitch.utils.bounds import SEED, check_fields
from chainstitch.utils.data.features import (
    CONFIG,
    FeatureConfig,
    FeatureReader,
    check_same_features,
    silence_row,
)
from chainstitch.utils.data.ivectors import MODEL, STORE, write_ivectors
from chainstitch.utils.data.manifests import cut_speaker
from chainstitch.utils.data.means import Features
from chainstitch.utils.data.workers import report_progress
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.log import environment
from chainstitch.utils.memory import refuse_more
from chainstitch.utils.outputs import Given, check_directory, check_file

BATCH = 64  # groups at a time, offline
KEEP_BYTES = 2e9  # of statistics in memory

log = logging.getLogger(__name__)


@dataclasses.dataclass
class IvectorConfig:
    """What `conf/ivector.toml` may say; the defaults are those of Kaldi's recipes.

    Attributes:
        dim: of the i-vectors; num_gauss: of the UBM.
        context: frames spliced either side; pca_dim: features after PCA.
        prior_frames: how many frames the training set's mean counts for in the causal mean.
        pca_utterances, ubm_frames: at most so many are used, spread evenly or by `seed`.
        ubm_iterations, iterations: of EM, for the UBM and for the extractor.
        num_gselect, min_post, posterior_scale, max_count, period, max_remembered_frames: of
            extraction, see IvectorModel.
    """

    dim: int = dataclasses.field(default=100, metadata={"bounds": "[1, 10000]"})
    num_gauss: int = dataclasses.field(default=512, metadata={"bounds": "[1, 65536]"})
    context: int = dataclasses.field(default=3, metadata={"bounds": "[0, 100]"})
    pca_dim: int = dataclasses.field(default=40, metadata={"bounds": "[1, 10000]"})
    prior_frames: float = dataclasses.field(default=200.0, metadata={"bounds": "(0, inf)"})
    pca_utterances: int = dataclasses.field(default=5000, metadata={"bounds": "[1, 1000000000]"})
    ubm_frames: int = dataclasses.field(default=500000, metadata={"bounds": "[1, 1000000000]"})
    ubm_iterations: int = dataclasses.field(default=20, metadata={"bounds": "[1, 10000]"})
    iterations: int = dataclasses.field(default=10, metadata={"bounds": "[1, 10000]"})
    num_gselect: int = dataclasses.field(default=5, metadata={"bounds": "[1, 65536]"})
    min_post: float = dataclasses.field(default=0.025, metadata={"bounds": "[0, 0.5]"})
    posterior_scale: float = dataclasses.field(default=0.1, metadata={"bounds": "(0, 1]"})
    max_count: float = dataclasses.field(default=100.0, metadata={"bounds": "[0, inf)"})
    period: int = dataclasses.field(default=10, metadata={"bounds": "[1, 100000]"})
    max_remembered_frames: float = dataclasses.field(
        default=1000.0, metadata={"bounds": "[0, inf)"}
    )
    seed: int = dataclasses.field(default=0, metadata={"bounds": SEED})

    def __post_init__(self) -> None:
        check_fields(self)

    def extraction(self) -> dict[str, Any]:
        """The constants that IvectorModel takes."""
        keys = ("num_gselect", "min_post", "posterior_scale", "max_count", "period",
                "max_remembered_frames")  # fmt: skip
        return {key: getattr(self, key) for key in keys}


def train_set(
    data: Path | str,
    out: Path | str,
    config: IvectorConfig,
    overwrite: bool = False,
    more_inputs: Iterable[Given] = (),
) -> list[dict[str, Any]]:
    """Trains front end, UBM and extractor, and writes the experiment `out`.

    Args:
        more_inputs: what else is read and must not be replaced, the config say.

    Returns:
        the lines of `train.jsonl`: "model" (ubm, extractor), "iteration", "objective" (of the model
        before that iteration; log-likelihood per frame, or per unit of count), "floored", "kept".

    Raises:
        UsageError: `out` exists, or `data` is no feature directory.
        UserError: damaged features; too few of them; names the utterance where there is one.
    """
    check_directory(out, "ivectors", overwrite, [data, *more_inputs])
    refuse_more(
        8.0 * config.num_gauss * config.dim * (3 * config.pca_dim + config.dim),
        f"num_gauss = {config.num_gauss} with dim = {config.dim}", "set one of them smaller",
    )  # fmt: skip
    started = time.monotonic()
    reader = FeatureReader(data)
    lines: list[dict[str, Any]] = []

    def report(model: str, iteration: int, objective: float, **more: int) -> None:
        seconds = round(time.monotonic() - started, 1)
        lines.append(
            {"model": model, "iteration": iteration, "objective": objective} | more
            | {"seconds": seconds}
        )  # fmt: skip
        log.info("%s, iteration %d: objective %.4f, %.0f s", model, iteration, objective, seconds)

    def utterances(what: str, limit: int = 0) -> Iterator[tuple[str, Features]]:
        cuts = reader.cuts
        if 0 < limit < len(cuts):
            chosen = np.random.default_rng(config.seed).choice(len(cuts), limit, replace=False)
            cuts = [cuts[i] for i in sorted(chosen)]
        for cut in report_progress(cuts, len(cuts), what):
            yield cut.id, reader.load_raw(cut)

    front = _front_end(reader, config)

    def spliced() -> Iterator[torch.Tensor]:
        for name, raw in utterances("PCA", config.pca_utterances):
            yield front.spliced(raw, name)[0]

    front.transform = estimate_pca(spliced, config.pca_dim)
    total = sum(cut.features.num_frames for cut in reader.cuts)
    every = math.ceil(total / config.ubm_frames)
    kept, phase = [], 0
    for item in utterances("UBM frames"):
        frames = next(front.streams([item])).normalised
        kept.append(frames[phase::every].clone())
        phase = (phase - len(frames)) % every  # every n-th, across utterances
    ubm = train_ubm(
        torch.cat(kept), config.num_gauss, config.ubm_iterations, config.seed,
        lambda iteration, objective: report("ubm", iteration, objective),
    )  # fmt: skip
    del kept
    model = IvectorModel(
        front, ubm, IvectorExtractor.initial(ubm, config.dim, config.seed), **config.extraction()
    )

    def statistics(what: str) -> Iterator[Statistics]:
        return model.per_utterance(s for item in utterances(what) for s in front.streams([item]))

    # They are the same in every iteration: kept where memory allows, else computed again.
    size = len(reader.cuts) * config.num_gauss * (config.pca_dim + 1) * 8
    kept_batches = list(statistics("statistics")) if size <= KEEP_BYTES else None
    for iteration in range(config.iterations):
        batches = kept_batches or statistics(f"iteration {iteration}")
        model.extractor, done = model.extractor.em_step(batches)
        report("extractor", iteration, done.objective, floored=done.floored, kept=done.kept)
    with atomic_directory(out, "ivectors", overwrite) as temporary:
        model.save(temporary)
        configs.save(config, temporary / "config.toml")
        shutil.copyfile(Path(data) / CONFIG, temporary / CONFIG)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (temporary / "train.jsonl").write_text(text, encoding="utf-8")
        receipt = {
            "command": shlex.join(["chainstitch", *sys.argv[1:]]),
            "data": str(data),
            "utterances": len(reader.cuts),
            "frames": total,
            "environment": environment(),
        }
        (temporary / "receipt.json").write_text(json.dumps(receipt, indent=1), encoding="utf-8")
    return lines


def extract_set(
    exp: Path | str,
    data: Path | str,
    out: Path | str | None = None,
    *,
    online: bool = False,
    per_speaker: bool = False,
    utterances: int = 0,
    overwrite: bool = False,
) -> tuple[Path, int]:
    """Writes the i-vectors of every utterance of a feature directory.

    Args:
        exp: what `train_set` wrote.
        out: the file; by default `ivectors.h5` in `data`.
        online: an estimate every `period` frames, from the frames so far; else one from all.
        per_speaker: statistics are a speaker's, not an utterance's: online they carry over from
            utterance to utterance, in the order of ids; else all utterances get the same i-vector.
        utterances: with `per_speaker`, at most so many share statistics (2 for online i-vectors of
            a training set); 0: all of the speaker's.

    Returns:
        the file, and how many utterances it holds.

    Raises:
        UsageError: the file exists; no such directories; other features than in training.
        UserError: damaged features or model.
    """
    path = Path(data) / STORE if out is None else Path(out)
    check_file(path, "i-vectors", overwrite, [exp, data])
    if utterances < 0 or (utterances and not per_speaker):
        raise UsageError(
            f"--utterances {utterances}: wanted 0 or more, together with --per-speaker"
        )
    model, reader = IvectorModel.load(exp), FeatureReader(data)
    settings = configs.load(Path(exp) / CONFIG, FeatureConfig)
    check_same_features(settings, exp, reader, "extract features with one config for both")
    if settings.num_ceps != len(model.front.mean):
        raise UserError(
            f"{Path(exp) / CONFIG} has num_ceps = {settings.num_ceps}, {MODEL} beside it takes "
            f"{len(model.front.mean)}; put back the files that `chainstitch ivectors train` wrote"
        )
    groups = _groups(reader, utterances if per_speaker else 1)

    def loaded(group: Sequence[Any]) -> list[tuple[str, Features]]:
        return [(cut.id, reader.load_raw(cut)) for cut in group]

    def matrices() -> Iterator[tuple[str, np.ndarray]]:
        size = 1 if online or per_speaker else BATCH
        starts = range(0, len(groups), size)
        for begin in report_progress(starts, len(starts), "i-vectors"):
            batch = groups[begin : begin + size]
            if online:
                found = model.online(loaded(batch[0]))
                yield from zip((cut.id for cut in batch[0]), found, strict=True)
                continue
            rows = model.offline([loaded(group) for group in batch])
            for group, row in zip(batch, rows, strict=True):
                yield from ((cut.id, row[None]) for cut in group)

    period = model.period if online else 0
    dim = model.extractor.dim
    trained = (Path(exp) / MODEL).read_bytes()
    return path, write_ivectors(path, matrices(), period, dim, trained, overwrite)


def _front_end(reader: FeatureReader, config: IvectorConfig) -> FrontEnd:
    """One that has no transform yet."""
    mean = torch.from_numpy(reader.global_mean)
    transform = torch.zeros(config.pca_dim, (2 * config.context + 1) * len(mean))
    if config.pca_dim > transform.shape[1]:
        raise UserError(
            f"pca_dim = {config.pca_dim}, but {2 * config.context + 1} frames of {len(mean)} "
            f"features are {transform.shape[1]}; set a smaller pca_dim"
        )
    silence = torch.from_numpy(silence_row(reader.config))
    return FrontEnd(mean, silence, transform, config.context, config.prior_frames)


def _groups(reader: FeatureReader, limit: int) -> list[list[Any]]:
    """Each speaker's cuts in the order of ids, `limit` at a time (0: all)."""
    if limit == 1:
        return [[cut] for cut in reader.cuts]
    speakers: dict[str, list[Any]] = {}
    for cut in sorted(reader.cuts, key=lambda cut: str(cut.id)):
        speakers.setdefault(cut_speaker(cut), []).append(cut)
    return [
        cuts[begin : begin + (limit or len(cuts))]
        for cuts in speakers.values()
        for begin in range(0, len(cuts), limit or len(cuts))
    ]
