"""Features of a whole set: speed and volume copies, several processes, one feature directory.

Every copy is computed by itself with one torch thread, and one process writes them all in the
order of their ids, so that the directory does not depend on the number of processes. Jobs on
several machines write a share each (utils/job_parts.py), a feature directory of its own; a merge
copies the features from there in place of computing them.

The volume factor is drawn uniformly, as Kaldi's `perturb_data_dir_volume.sh` does, from a hash of
the copy's id, or of that of its recording (and its speed) where `volume_by` says so. A mixed cut
becomes a plain cut with features and supervisions but no recording.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from lhotse import Features as FeatureManifest
from lhotse.cut import Cut, MonoCut
from lhotse.features.io import NumpyHdf5Writer
from lhotse.utils import fastcopy

from chainstitch.utils import config as configs
from chainstitch.utils import job_parts
from chainstitch.utils.data import means
from chainstitch.utils.data.audio_check import check_length
from chainstitch.utils.data.feature_index import make_index
from chainstitch.utils.data.features import (
    CONFIG,
    FRAME_SHIFT,
    MEANS,
    STORE,
    FeatureConfig,
    FeatureReader,
    extract,
    silence_row,
)
from chainstitch.utils.data.manifests import (
    CUTS,
    audio_files,
    check_cuts,
    cut_tracks,
    read_cuts,
    to_bytes,
)
from chainstitch.utils.data.means import Features
from chainstitch.utils.data.samples import load_samples, refuse_foreign
from chainstitch.utils.data.validate import joined_warning
from chainstitch.utils.data.workers import ordered_map
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.files import atomic_directory
from chainstitch.utils.job_parts import Part
from chainstitch.utils.library_stream import for_library
from chainstitch.utils.outputs import Given, check_directory, check_keeps

log = logging.getLogger(__name__)


class Summary(NamedTuple):
    """What `extract_set` wrote."""

    cuts: int
    frames: int
    seconds: float  # of computing


def extract_set(
    data: Path | str,
    out: Path | str,
    config: FeatureConfig,
    *,
    augment: bool = False,
    prior: Path | str | None = None,
    nj: int = 1,
    overwrite: bool = False,
    part: Part | None = None,
    merge: int = 0,
    more_inputs: Iterable[Given] = (),
    allow_commands: bool = False,
) -> Summary:
    """Writes the feature directory `out` for the set `data`.

    Args:
        augment: one copy per `config.speed`, with a volume factor each, instead of the plain cuts.
        prior: the training set's feature directory, whose global mean the causal mean starts from;
            None: this set's own, which is right for a training set only.
        nj: processes.
        part: compute this share only, and write it where `merge` looks for it.
        merge: make `out` of that many shares, and remove them.
        more_inputs: what else is read and must not be replaced, the config say.
        allow_commands: run what makes audio, and fetch what lies behind URLs, as the cuts say.

    Raises:
        UsageError: `out` exists, or has to do with an input; the sampling rate is not the
            config's; a share is missing, or was made from another set or with another config.
        UserError: audio cannot be read or is too short, or wants a command that is not allowed;
            features are not finite.
    """
    import h5py  # not for the processes that compute

    started = time.monotonic()
    inputs = [data, prior, *more_inputs]
    check_directory(out, "features", overwrite, inputs)
    if part is not None or merge:
        job_parts.check(out, inputs)
    prior_mean = _prior(prior, config) if prior is not None else None
    cuts = read_cuts(data)
    check_keeps(out, audio_files(cuts))
    if not allow_commands:
        refuse_foreign(cuts, data)
    if (warning := joined_warning(cuts, data)) is not None:
        log.warning("%s", warning)
    _check_audio(cuts, data)
    _check_rates(cuts, data, config)
    _check_lengths(cuts, data)
    copies = check_cuts(speed_copies(cuts, config.speed) if augment else cuts, data)
    if part is not None:
        copies, out, overwrite = part.of(copies), part.directory(out), True
    hours = sum(cut.duration for cut in copies) / 3600
    megabytes = hours * 3600 / FRAME_SHIFT * config.num_ceps * 4 / 1e6
    log.info("%s: %d utterances, %.2f h, about %.0f MB", out, len(copies), hours, megabytes)
    if config.mean == "causal" and prior is None:
        log.warning("causal mean without --prior: right for a training set, wrong for a test set")
    tasks = [(cut, copy_volume(cut, config) if augment else 1.0) for cut in copies]
    silence = silence_row(config)
    written: list[Cut] = []
    totals, counts, frames = [], [], 0
    with atomic_directory(out, "features", overwrite) as temporary:
        (temporary / STORE).parent.mkdir()
        with (
            open(temporary / STORE, "w+b") as file,
            for_library(file) as stream,
            h5py.File(stream, "w") as store,
        ):
            compute = functools.partial(_cut_features, config=config, allow_commands=allow_commands)
            if merge:
                results = _merged(copies, config, job_parts.all_of(merge, out), out)
            else:
                results = ordered_map(compute, tasks, nj, "features")
            for (cut, volume), features in zip(tasks, results, strict=True):
                store.create_dataset(cut.id, data=features)  # as NumpyHdf5Writer does
                stream.check()  # a full disk, before the next is computed
                written.append(_with_features(cut, features, volume, config, Path(out) / STORE))
                total, count = means.sums(features, silence)
                totals.append(total)
                counts.append(count)
                frames += len(features)
        cut_sums = np.array(totals).reshape(-1, config.num_ceps)
        own = np.sum(cut_sums, axis=0) / max(sum(counts), 1.0)
        np.savez(
            temporary / MEANS,
            cut_ids=np.array([cut.id for cut in written]),
            cut_sums=cut_sums,
            cut_counts=np.array(counts),
            prior=own if prior_mean is None else prior_mean,
        )
        configs.save(config, temporary / CONFIG)
        (temporary / CUTS).write_bytes(to_bytes(written))
        with contextlib.suppress(UserError):  # of cuts without a speaker: who reads them says so
            make_index(temporary)
    if merge:
        job_parts.remove(out)
    return Summary(len(written), frames, time.monotonic() - started)


def speed_copies(cuts: Iterable[Cut], factors: Iterable[float]) -> list[Cut]:
    """Each cut at each speed f; a copy's speaker is `sp<f>-<speaker>`, its id ends in `_sp<f>`."""
    copies = []
    for cut in cuts:
        for factor in factors:
            copy = cut
            if factor != 1.0:
                copy = cut.perturb_speed(factor)
                for track in cut_tracks(copy):
                    for segment in track.supervisions:
                        segment.speaker = f"sp{factor}-{segment.speaker}"
            copies.append(copy)
    return copies


def copy_volume(cut: Cut, config: FeatureConfig) -> float:
    """The volume factor of a copy."""
    if config.volume_by == "utterance":
        return volume_factor(cut.id, config.volume)
    heard = cut_tracks(cut)[0]  # each speed of a recording has an id of its own
    return volume_factor(f"{heard.recording.id} {heard.channel}", config.volume)


def volume_factor(name: str, bounds: list[float]) -> float:
    """A factor uniform between the bounds, a function of the name alone."""
    digest = hashlib.sha256(f"volume {name}".encode()).digest()
    return bounds[0] + (bounds[1] - bounds[0]) * int.from_bytes(digest[:8], "big") / 2.0**64


def _cut_features(task: tuple[Cut, float], config: FeatureConfig, allow_commands: bool) -> Features:
    cut, volume = task
    audio = cut_tracks(cut)[0].recording.sources[0].source
    try:
        samples = load_samples(cut, allow_commands)
    except UserError as error:
        raise UserError(f"cut {cut.id} ({audio}): {error}; run `chainstitch validate`") from error
    try:
        features = extract(samples * np.float32(volume), config)
    except UserError as error:
        raise UserError(f"cut {cut.id} ({audio}): {error}; run `chainstitch validate`") from None
    if not np.isfinite(features).all():
        raise UserError(
            f"cut {cut.id} ({audio}): features are not finite; run `chainstitch validate`"
        )
    return features


def _merged(
    copies: list[Cut], config: FeatureConfig, shares: list[Part], out: Path | str
) -> Iterator[Features]:
    shares = shares[: len(copies)]  # those after it are empty
    readers = [FeatureReader(share.directory(out)) for share in shares]
    for share, reader in zip(shares, readers, strict=True):
        same = [cut.id for cut in reader.cuts] == [cut.id for cut in share.of(copies)]
        if not same or reader.config != config:
            what = "with another config" if same else "from another set, or with another --augment"
            raise UsageError(f"{reader.directory} was made {what}; run the jobs again")
    for number in range(len(copies)):
        reader = readers[number % len(readers)]
        yield reader.load_raw(reader.cuts[number // len(readers)])


def _with_features(
    cut: Cut, features: Features, volume: float, config: FeatureConfig, store: Path
) -> MonoCut:
    mono = isinstance(cut, MonoCut)
    manifest = FeatureManifest(
        type="kaldi-mfcc",
        num_frames=features.shape[0],
        num_features=features.shape[1],
        frame_shift=FRAME_SHIFT,
        sampling_rate=config.sampling_rate,
        start=cut.start,
        duration=cut.duration,
        storage_type=NumpyHdf5Writer.name,
        storage_path=str(store),
        storage_key=cut.id,
        recording_id=cut.recording.id if mono else None,
        channels=cut.channel if mono else 0,
    )
    custom = {"volume": volume} if volume != 1.0 else None
    if mono:
        return fastcopy(cut, features=manifest, custom=custom)
    segments = sorted(cut.supervisions, key=lambda s: (s.start, s.id))
    return MonoCut(cut.id, 0.0, cut.duration, 0, segments, features=manifest, custom=custom)


def _prior(directory: Path | str, config: FeatureConfig) -> means.Array:
    reader = FeatureReader(directory)
    for key in ("sampling_rate", "num_mel_bins", "num_ceps", "low_freq", "high_freq"):
        theirs, ours = getattr(reader.config, key), getattr(config, key)
        if theirs != ours:
            raise UsageError(f"--prior {directory} has {key} = {theirs}, the config {ours}")
    return reader.global_mean


def _check_audio(cuts: list[Cut], data: Path | str) -> None:
    for cut in cuts:
        if not all(track.has_recording and track.recording.sources for track in cut_tracks(cut)):
            raise UserError(f"{data}: cut {cut.id} has no audio; give the set `prepare` wrote")


def _check_rates(cuts: list[Cut], data: Path | str, config: FeatureConfig) -> None:
    for cut in cuts:
        if cut.sampling_rate != config.sampling_rate:
            raise UsageError(
                f"{data}: cut {cut.id} is sampled at {cut.sampling_rate} Hz, the config has "
                f"sampling_rate = {config.sampling_rate}; set sampling_rate = {cut.sampling_rate}"
            )


def _check_lengths(cuts: list[Cut], data: Path | str) -> None:
    # lhotse fills up to half a second missing at the end of a file with a mirror image, silently.
    checked: dict[str, tuple[str, str] | None] = {}
    for cut in cuts:
        for recording in [track.recording for track in cut_tracks(cut)]:
            if recording.id not in checked:
                checked[recording.id] = check_length(recording)
            problem = checked[recording.id]
            if problem:
                raise UserError(f"cut {cut.id}: {problem[1]}; run `chainstitch validate {data}`")
