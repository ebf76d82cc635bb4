"""Is a recording on disk what its manifest says? One file at a time.

libsndfile reads a wav or SPHERE file that was cut short without a word: it believes the file's
size, not the header. So the header is compared with the file here, before the samples are read.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile
from lhotse import AudioSource, Recording

from chainstitch.utils.data.sphere import sphere_data_bytes, unreadable_sphere

# Sizes that a program writes when it streams and cannot go back to fill the header in: 0, or nearly
# as much as fits, signed (sox, 0x7ffff000) or unsigned (arecord, 0x80000000; ffmpeg, 0xffffffff).
STREAMED = 0x7FFF0000
RATES = (1000, 768000)  # Hz; telegraphy needs less and nobody records at more
# The largest sample: of 32-bit audio whose samples were not scaled to +-1. Features of much louder
# ones (1e19) are not finite.
LOUDEST = 2.0**31


def check_recording(recording: Recording) -> tuple[str, str] | None:
    """(kind, what is wrong) of the first problem of a recording's files, None when it is sound.

    Kinds: missing, unreadable, truncated, length, channel, samples (see `validate.REASONS`).
    """
    for source in recording.sources:
        problem = _check_header(recording, source)
        if not problem and source.type == "file":
            problem = check_samples(Path(str(source.source)))
        if problem:
            return problem
    return None


def check_length(recording: Recording) -> tuple[str, str] | None:
    """The same from the files' headers alone: all kinds but samples."""
    problems = (_check_header(recording, source) for source in recording.sources)
    return next((problem for problem in problems if problem), None)


def check_samples(path: Path) -> tuple[str, str] | None:
    """The kinds that are seen when all of a file is read: unreadable, truncated or samples."""
    try:
        declared = soundfile.info(str(path)).frames
        samples, _ = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        return "unreadable", f"{path}: {_reason(error)}"
    if len(samples) < declared:
        return "truncated", f"{path} holds {len(samples)} of the {declared} samples declared"
    bad = int(np.sum(~np.isfinite(samples)))
    if bad:
        return "samples", f"{path} has {bad} samples that are not finite"
    loudest = float(np.abs(samples).max(initial=0.0))
    if loudest > LOUDEST:
        return "samples", f"{path} has a sample of {loudest:.2g}, wanted about -1 to 1"
    return None


def _check_header(recording: Recording, source: AudioSource) -> tuple[str, str] | None:
    path = Path(str(source.source))
    if source.type != "file":
        return None  # by a command, from a URL or in memory: lhotse's business, if it is allowed
    if not path.is_file():
        return "missing", f"{path} does not exist"
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        return "unreadable", unreadable_sphere(path) or f"{path}: {_reason(error)}"
    if not recording.transforms:  # else the manifest has the length after them
        if info.samplerate != recording.sampling_rate:
            return "length", f"{path} is at {info.samplerate} Hz, was {recording.sampling_rate}"
        if info.frames < recording.num_samples:
            of = f"{recording.num_samples} samples it had"
            return "truncated", f"{path} holds {info.frames} of the {of}"
        if info.frames > recording.num_samples:
            had = f"{recording.num_samples} when prepared"
            return "length", f"{path} has {info.frames} samples, {had}"
    if info.channels != len(source.channels):
        wanted = f"{len(source.channels)} in the manifest"
        return "channel", f"{path} has {info.channels} channels, {wanted}"
    missing = cut_short(path)
    return ("truncated", missing) if missing else None


def cut_short(path: Path) -> str | None:
    """That a wav or SPHERE file has fewer bytes than its header declares; None if not, or if it
    declares none.

    Raises:
        OSError: the file cannot be opened.
    """
    sizes = wav_data_bytes(path) or sphere_data_bytes(path)
    if not sizes or sizes[0] <= sizes[1]:
        return None
    return f"{path} holds {sizes[1]} of the {sizes[0]} bytes its header declares"


def wav_data_bytes(path: Path) -> tuple[int, int] | None:
    """(declared, present) bytes of a RIFF file's samples; None where the header does not say."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        head = stream.read(12)
        if len(head) < 12 or head[:4] != b"RIFF" or head[8:] != b"WAVE":
            return None
        while len(chunk := stream.read(8)) == 8:
            name, length = struct.unpack("<4sI", chunk)
            if name == b"data":
                if length == 0 or length >= STREAMED:
                    return None
                return length, size - stream.tell()
            stream.seek(length + length % 2, 1)
    return None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
