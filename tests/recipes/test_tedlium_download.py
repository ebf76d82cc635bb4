"""The download of TED-LIUM, from a server on the loopback that breaks off, forgets and lies."""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "egs" / "tedlium" / "local" / "download.py"
CONTENT = np.random.default_rng(0).bytes(300_000)


def packed(name: str = "TEDLIUM_release2/train/a.sph") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo(name)
        member.size = len(CONTENT)
        tar.addfile(member, io.BytesIO(CONTENT))
    return stream.getvalue()


class Server(ThreadingHTTPServer):
    """Sends `archive`; only its first `breaks_after` bytes, and whole if it knows no ranges."""

    archive = packed()
    breaks_after: int | None = None
    knows_ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        first = 0
        if wanted and server.knows_ranges:
            first = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])  # type: ignore[index]
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(server.archive) - first))
        self.end_headers()
        self.wfile.write(server.archive[first : server.breaks_after])

    def log_message(self, format: str, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def run(server: Server, place: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    keys = {
        "url": f'"http://127.0.0.1:{server.server_port}/a.tar.gz"',
        "bytes": str(len(Server.archive)),
        "sha256": f'"{hashlib.sha256(Server.archive).hexdigest()}"',
        "directory": '"TEDLIUM_release2"',
    } | changes
    conf = place / "download.toml"
    conf.write_text("[release2]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()))
    return subprocess.run(
        [sys.executable, str(SCRIPT), "--conf", str(conf), "--out", str(place / "out")],
        capture_output=True, text=True, env={**os.environ, "no_proxy": "127.0.0.1"},
    )  # fmt: skip


def names(place: Path) -> list[str]:
    return sorted(path.name for path in place.iterdir())


def test_what_broke_off_goes_on_and_is_unpacked_whole(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 100_000
    done = run(server, tmp_path)
    assert done.returncode == 1
    assert f"100000 of {len(Server.archive)} bytes came; give the same command" in done.stderr
    assert names(tmp_path / "out") == ["a.tar.gz.part"]
    server.breaks_after = None
    done = run(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert server.asked == [None, "bytes=100000-"]
    assert names(tmp_path / "out") == ["TEDLIUM_release2", "a.tar.gz"]
    assert (tmp_path / "out/TEDLIUM_release2/train/a.sph").read_bytes() == CONTENT
    assert done.stdout == f"{tmp_path}/out/TEDLIUM_release2\n"
    assert run(server, tmp_path).returncode == 0 and len(server.asked) == 2  # all is there


def test_a_server_without_ranges_begins_again(server: Server, tmp_path: Path) -> None:
    server.knows_ranges = False
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.tar.gz.part").write_bytes(b"something else")
    done = run(server, tmp_path)
    assert done.returncode == 0, done.stderr
    assert server.asked == ["bytes=14-"] and "begins again" in done.stderr
    assert (tmp_path / "out/TEDLIUM_release2/train/a.sph").read_bytes() == CONTENT


def test_another_checksum_is_said_and_what_came_is_deleted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/a.tar.gz.part").write_bytes(b"something else")
    done = run(server, tmp_path)
    assert done.returncode == 1 and not names(tmp_path / "out")
    assert re.search(r"has the SHA-256 \w{64}, wanted \w{64}; what came was deleted", done.stderr)


def test_no_connection_no_disk_and_no_such_directory_are_one_line(
    server: Server, tmp_path: Path
) -> None:
    for changes, said in (
        ({"url": '"http://127.0.0.1:9/a.tar.gz"'}, "refused.*the same command again"),
        ({"url": '"file:///etc/passwd"'}, "wanted http or https"),
        ({"bytes": "1_000_000_000_000_000"}, r"GB left, the archive and.* want 2200000\.0 GB"),
        ({"bytes": "10"}, "sends more than the 10 bytes"),
        ({"directory": '"TEDLIUM_release9"'}, "holds no TEDLIUM_release9"),
    ):
        done = run(server, tmp_path, **changes)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("download.py: ") and re.search(said, last), done.stderr
    assert names(tmp_path / "out") == ["a.tar.gz"]


def test_nothing_is_written_outside(server: Server, tmp_path: Path) -> None:
    server.archive = packed("../outside")
    changes = {
        "bytes": str(len(server.archive)),
        "sha256": f'"{hashlib.sha256(server.archive).hexdigest()}"',
    }
    done = run(server, tmp_path, **changes)
    assert done.returncode == 1 and "cannot be unpacked" in done.stderr
    assert names(tmp_path) == ["download.toml", "out"] and names(tmp_path / "out") == ["a.tar.gz"]
