"""Ways to break one file. Each puts another file in its place, as files of the world are links."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import soundfile
import torch

Damage = Callable[[Path], None]
NOT_UTF8 = b" \xff\xfe\xe9 "


def missing(path: Path) -> None:
    """Removes a file, or a directory with all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def write(path: Path, content: bytes) -> None:
    """A new file."""
    missing(path)
    path.write_bytes(content)


def empty(path: Path) -> None:
    """Nothing in it."""
    if path.is_dir():
        shutil.rmtree(path)
        path.mkdir()
    else:
        write(path, b"")


def garbage(path: Path) -> None:
    """Bytes that mean nothing."""
    write(path, random.Random(0).randbytes(777))


def truncated(path: Path) -> None:
    """The first half, as a copy that was broken off leaves it, in the middle of a line."""
    content = path.read_bytes()
    half = content[: len(content) // 2]
    write(path, half[:-1] if half.endswith(b"\n") else half)


def not_utf8(path: Path) -> None:
    """Latin letters in the middle of a text, which may be compressed."""
    content = path.read_bytes()
    packed = content[:2] == b"\x1f\x8b"
    text = gzip.decompress(content) if packed else content
    at = text.find(b"\n") if b"\n" in text else len(text) // 2
    text = text[:at] + NOT_UTF8 + text[at:]
    write(path, gzip.compress(text, mtime=0) if packed else text)


def directory(path: Path) -> None:
    """A directory of the file's name."""
    missing(path)
    path.mkdir()


def file(path: Path) -> None:
    """A file of the directory's name."""
    missing(path)
    path.write_text("not a directory\n")


def edited(old: str, new: str) -> Damage:
    """Other words in a text, which may be compressed, wherever the pattern is found."""

    def damage(path: Path) -> None:
        found = path.read_bytes()
        packed = found[:2] == b"\x1f\x8b"
        text = (gzip.decompress(found) if packed else found).decode()
        made, count = re.subn(old, lambda _: new, text)
        assert count, f"{path} has no {old!r}"
        content = made.encode()
        write(path, gzip.compress(content, mtime=0) if packed else content)

    return damage


def swapped(old: bytes, new: bytes) -> Damage:
    """Other bytes where some are found first."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        assert old in content, f"{path} has no {old!r}"
        write(path, content.replace(old, new, 1))

    return damage


def zipped(change: Callable[[bytes], bytes]) -> Damage:
    """Other bytes in a .gz, whose checksum is theirs."""

    def damage(path: Path) -> None:
        write(path, gzip.compress(change(gzip.decompress(path.read_bytes())), mtime=0))

    return damage


def text(content: str) -> Damage:
    """Another text."""
    return lambda path: write(path, content.encode())


def item(**changes: Any) -> Damage:
    """Other values in the first line of a manifest, by names as in a__b; None removes one."""

    def damage(path: Path) -> None:
        first, *rest = gzip.decompress(path.read_bytes()).decode().splitlines()
        found = json.loads(first)
        for name, value in changes.items():
            at, *keys = [int(key) if key.isdigit() else key for key in name.split("__")][::-1]
            inside = found
            for key in keys[::-1]:
                inside = inside[key]
            inside[at] = value
        lines = "".join(f"{line}\n" for line in (json.dumps(found), *rest))
        write(path, gzip.compress(lines.encode(), mtime=0))

    return damage


def arrays(**changes: Callable[[np.ndarray], Any]) -> Damage:
    """Other arrays in an .npz."""

    def damage(path: Path) -> None:
        with np.load(path) as table:
            found = {name: table[name] for name in table.files}
        for name, change in changes.items():
            assert name in found, f"{path} has no {name}"
            found[name] = change(found[name])
        stream = io.BytesIO()
        np.savez(stream, **found)
        write(path, stream.getvalue())

    return damage


def array(change: Callable[[np.ndarray], Any]) -> Damage:
    """Another array in an .npy."""

    def damage(path: Path) -> None:
        stream = io.BytesIO()
        np.save(stream, change(np.load(path)))
        write(path, stream.getvalue())

    return damage


def state(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Another content of a checkpoint; `change` changes it, or returns what is put there."""

    def damage(path: Path) -> None:
        found = torch.load(path, weights_only=True)
        changed = change(found)
        stream = io.BytesIO()
        torch.save(found if changed is None else changed, stream)
        write(path, stream.getvalue())

    return damage


def wider(tensor: torch.Tensor) -> torch.Tensor:
    """One more row, and one more column."""
    return torch.zeros([size + 1 for size in tensor.shape], dtype=tensor.dtype)


def resized_model(path: Path) -> None:
    """A checkpoint whose tensors are of another network."""

    def change(found: dict[str, Any]) -> None:
        for name, tensor in found["model"].items():
            found["model"][name] = wider(tensor)

    state(change)(path)


def untyped_model(path: Path) -> None:
    """A checkpoint with texts in place of the tensors."""
    state(lambda found: found.update(model=dict.fromkeys(found["model"], "text")))(path)


def datasets(change: Callable[[np.ndarray], Any]) -> Damage:
    """Other matrices in an HDF5 file."""

    def damage(path: Path) -> None:
        content = io.BytesIO(path.read_bytes())
        with h5py.File(content, "r+") as store:
            for name in list(store):
                if store[name].ndim < 2:
                    continue
                changed = change(store[name][()])
                del store[name]
                store[name] = changed
        write(path, content.getvalue())

    return damage


def pickled(change: Callable[[dict[str, Any]], Any]) -> Damage:
    """Another content of a pickle."""

    def damage(path: Path) -> None:
        found = pickle.loads(path.read_bytes())
        change(found)
        write(path, pickle.dumps(found, 2))

    return damage


def stereo(path: Path) -> None:
    """Two channels."""
    samples, rate = soundfile.read(path)
    missing(path)
    soundfile.write(path, np.stack([samples, samples], 1), rate, subtype="PCM_16")


def other_rate(path: Path) -> None:
    """A recording at 16 kHz."""
    samples, _ = soundfile.read(path)
    missing(path)
    soundfile.write(path, samples, 16000, subtype="PCM_16")


def resized_ivector(path: Path) -> None:
    """An extractor whose tensors have other sizes than each other."""

    def change(found: dict[str, Any]) -> None:
        def widen(inside: Any) -> None:
            for name, value in inside.items():
                if isinstance(value, dict):
                    widen(value)
                elif isinstance(value, torch.Tensor) and value.ndim:
                    inside[name] = wider(value)
                    return

        widen(found)

    state(change)(path)
