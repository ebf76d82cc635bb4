#!/usr/bin/env python3
"""Fetches an archive of conf/download.toml, checks it and unpacks it. Nothing else calls it.

The archive grows as OUT/NAME.part, so that whoever is stopped, or loses the connection, goes on
from there when the same command is given again. It is NAME once its SHA-256 is the one of the
config, and is unpacked beside its place and renamed: OUT/DIRECTORY is there whole, or not at all.
The archive stays, for its owner to delete.

Example: download.py --release 2 --out corpora
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import logging
import os
import shutil
import sys
import tarfile
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from chainstitch.utils import log as logs
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.lock import locked
from chainstitch.utils.unfinished import remove, temporary_name

CONF = Path(__file__).resolve().parents[1] / "conf" / "download.toml"
BLOCK = 1 << 20  # bytes that are read at a time
TIMEOUT = 60.0  # seconds without a byte
TOLD_EVERY = 30.0  # seconds from one line of progress to the next
UNPACKED = (
    1.2  # bytes of the unpacked corpus for each of the archive; its audio is not compressible
)

log = logging.getLogger("chainstitch.download")


@dataclass(frozen=True)
class Archive:
    """What a section of the config says."""

    url: str
    bytes: int
    sha256: str
    directory: str


def read_archive(conf: Path, release: int) -> Archive:
    """The archive of a release.

    Raises:
        UserError: the config is not as it should be.
    """
    try:
        section = tomllib.loads(conf.read_text(encoding="utf-8"))[f"release{release}"]
        archive = Archive(**section)
        if not archive.url.startswith(("http://", "https://")):
            raise ValueError(f"url {archive.url!r}, wanted http or https")
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise UserError(f"{conf}: [release{release}] cannot be read ({error})") from None
    return archive


def download(archive: Archive, out: Path) -> Path:
    """Makes OUT/DIRECTORY, if it is not there yet, and returns it.

    Raises:
        UserError: no connection, it broke off, too little disk, or another checksum.
    """
    target = out / archive.directory
    if target.is_dir():
        log.info("%s is there already", target)
        return target
    out.mkdir(parents=True, exist_ok=True)
    with locked(target):
        file = out / archive.url.rpartition("/")[2]
        part = file.with_name(f"{file.name}.part")
        if not file.is_file():
            there = part.stat().st_size if part.is_file() else 0
            _check_disk(out, archive.bytes - there + int(UNPACKED * archive.bytes))
            _fetch(archive, part)
            _check(archive, part)
            os.replace(part, file)
        _unpack(file, archive, target)
    return target


def _check_disk(out: Path, wanted: int) -> None:
    free = shutil.disk_usage(out).free
    if free < wanted:
        raise UserError(
            f"{out} has {free / 1e9:.1f} GB left, the archive and what it unpacks to want "
            f"{wanted / 1e9:.1f} GB; give --out on another disk"
        )


def _fetch(archive: Archive, part: Path) -> None:
    """Appends to `part` what it lacks."""
    there = part.stat().st_size if part.is_file() else 0
    if there > archive.bytes:
        raise UserError(f"{part} has {there} bytes, more than {archive.bytes}; delete it")
    if there == archive.bytes:
        return
    request = urllib.request.Request(archive.url)
    if there:
        log.info("%s: going on from byte %d of %d", part, there, archive.bytes)
        request.add_header("Range", f"bytes={there}-")
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            goes_on = answer.status == http.client.PARTIAL_CONTENT
            with open(part, "ab" if goes_on else "wb") as stream:
                if there and not goes_on:
                    log.warning("the server begins again from the first byte")
                _copy(answer, stream, archive)
                got = stream.tell()
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{archive.url}: {reason} ({type(error).__name__}); give the same command again, and "
            "it goes on from where it was"
        ) from None
    if got != archive.bytes:
        raise UserError(
            f"{archive.url}: {got} of {archive.bytes} bytes came; give the same command again, and "
            "it goes on from there"
        )


def _copy(answer: http.client.HTTPResponse, stream: BinaryIO, archive: Archive) -> None:
    told = time.monotonic()
    for block in _blocks(answer):
        if stream.tell() + len(block) > archive.bytes:
            raise UserError(f"{archive.url} sends more than the {archive.bytes} bytes it should")
        stream.write(block)
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            log.info("%.1f of %.1f GB", stream.tell() / 1e9, archive.bytes / 1e9)


def _check(archive: Archive, part: Path) -> None:
    log.info("checking %s", part)
    sha256 = hashlib.sha256()
    with open(part, "rb") as stream:
        for block in _blocks(stream):
            sha256.update(block)
    if sha256.hexdigest() != archive.sha256:
        part.unlink()
        raise UserError(
            f"{archive.url} has the SHA-256 {sha256.hexdigest()}, wanted {archive.sha256}; what "
            "came was deleted: give the same command again, or look at conf/download.toml"
        )


def _unpack(file: Path, archive: Archive, target: Path) -> None:
    log.info("unpacking %s", file)
    temporary = temporary_name(target)
    remove(temporary)
    try:
        temporary.mkdir()
        with tarfile.open(file) as tar:
            tar.extractall(temporary, _plain_members(tar))
        inside = temporary / archive.directory
        if not inside.is_dir():
            raise UserError(f"{file} holds no {archive.directory}; look at conf/download.toml")
        os.rename(inside, target)
    except tarfile.TarError as error:
        raise UserError(f"{file} cannot be unpacked ({error}); delete it and try again") from None
    finally:
        remove(temporary)


def _plain_members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Files and directories below the place that is unpacked to, and nothing else.

    As `filter="data"` of extractall has it, which Python has from 3.11.4 on only.

    Raises:
        tarfile.TarError: there is a link or a device, or a name that leads out.
    """
    for member in tar:
        name = PurePosixPath(member.name)
        if not (member.isfile() or member.isdir()) or name.is_absolute() or ".." in name.parts:
            raise tarfile.TarError(f"{member.name!r} is no file or directory in it")
        member.mode = 0o755 if member.isdir() else 0o644
        yield member


def _blocks(stream: BinaryIO | http.client.HTTPResponse) -> Iterator[bytes]:
    while block := stream.read(BLOCK):
        yield block


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--release", type=int, choices=(2, 3), default=2, help="of TED-LIUM (2)")
    parser.add_argument("--out", type=Path, required=True, help="directory of the archive and it")
    parser.add_argument("--conf", type=Path, default=CONF, help="addresses and checksums")
    options = parser.parse_args()
    logs.setup()
    try:
        if not options.conf.is_file():
            raise UsageError(f"{options.conf} does not exist; wanted a file like {CONF}")
        print(download(read_archive(options.conf, options.release), options.out))
    except UserError as error:
        print(f"download.py: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"download.py: {error.strerror}: {error.filename}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("download.py: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
