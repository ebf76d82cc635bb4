"""Is a recording on disk what its manifest says? One file at a time.

libsndfile reads a wav file that was cut short without a word: it believes the file's size, not the
header. So the header is compared with the file here, before the samples are read.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import soundfile
from lhotse import Recording

# Sizes that a program writes when it streams and cannot go back to fill the header in.
STREAMED = (0, 0x7FFFFFFF, 0xFFFFFFFF)


def check_recording(recording: Recording) -> tuple[str, str] | None:
    """(kind, what is wrong) of the first problem of a recording's file, None when it is sound.

    Kinds: missing, unreadable, truncated, length, samples (see `validate.REASONS`).
    """
    problem = check_length(recording)
    if problem or recording.sources[0].type != "file":
        return problem
    path = Path(str(recording.sources[0].source))
    sizes = wav_data_bytes(path)
    if sizes and sizes[0] > sizes[1]:
        return "truncated", f"{path} holds {sizes[1]} of the {sizes[0]} bytes its header declares"
    try:
        declared = soundfile.info(str(path)).frames
        samples, _ = soundfile.read(str(path), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        return "unreadable", f"{path}: {str(error).splitlines()[0]}"
    if len(samples) < declared:
        return "truncated", f"{path} holds {len(samples)} of the {declared} samples declared"
    bad = int(np.sum(~np.isfinite(samples)))
    if bad:
        return "samples", f"{path} has {bad} samples that are not finite"
    return None


def check_length(recording: Recording) -> tuple[str, str] | None:
    """The same from the file's header alone: missing, unreadable, truncated or length."""
    source = recording.sources[0]
    path = Path(str(source.source))
    if source.type != "file":
        return None  # from a URL or in memory: lhotse's business
    if not path.is_file():
        return "missing", f"{path} does not exist"
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        return "unreadable", f"{path}: {str(error).splitlines()[0]}"
    if recording.transforms:
        return None  # the manifest has the length after them
    if info.samplerate != recording.sampling_rate:
        return "length", f"{path} is at {info.samplerate} Hz, was {recording.sampling_rate}"
    if info.frames < recording.num_samples:
        missing = f"{path} holds {info.frames} of the {recording.num_samples} samples it had"
        return "truncated", missing
    if info.frames > recording.num_samples:
        return "length", f"{path} has {info.frames} samples, {recording.num_samples} when prepared"
    return None


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
                return None if length in STREAMED else (length, size - stream.tell())
            stream.seek(length + length % 2, 1)
    return None
