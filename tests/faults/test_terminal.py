"""Where a command is started: closed and full streams, strange variables, directories that are not.

All at the real terminal, through a shell. What cannot work says so in one line, all else works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import Toy, fingerprint

PROGRAM = f"{sys.executable} -m chainstitch.bin.main"

# how it is started: exit code, and what stderr says
PLACES = [
    ("{} >&-", 0, ""),
    ("{} 2>&-", 0, ""),
    ("{} <&-", 0, ""),
    ("{} <&- >&- 2>&-", 0, ""),
    ("{} >/dev/full", 1, "No space left on device: standard output"),
    ("{} 2>/dev/full", 0, ""),
    ("{} >/dev/full 2>/dev/full", 1, ""),
    ("{} | true", 0, ""),
    ("NUMBA_NUM_THREADS=0 {}", 2, "the variable NUMBA_NUM_THREADS is '0'; set it to a number"),
    ("NUMBA_NUM_THREADS=x {}", 2, "the variable NUMBA_NUM_THREADS is 'x'; set it to a number"),
    ("NUMBA_NUM_THREADS= {}", 0, ""),
    ("env -u PATH {}", 0, ""),
    ("env -u HOME {}", 0, ""),
    ("TMPDIR=/nonexistent {}", 0, ""),
    ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {}", 0, ""),
    ("COLUMNS=0 {}", 0, ""),
    ("cd /proc && {}", 0, ""),
    ("mkdir gone && cd gone && rmdir ../gone && {}", 2, "the current directory is gone"),
    ("CHAINSTITCH_LOG_LEVEL=x {}", 0, ""),
]
HEAVY = [
    ("OMP_NUM_THREADS=1 env -u PATH -u HOME {} </dev/null", 0, ""),
    ("TMPDIR=/nonexistent NUMBA_CACHE_DIR=/proc/x MPLCONFIGDIR=/proc/x {} <&- >&- 2>&-", 0, ""),
    ("NUMBA_NUM_THREADS=-1 {}", 2, "the variable NUMBA_NUM_THREADS is '-1'"),
    ("WORLD_SIZE=x {}", 2, "the variable WORLD_SIZE is 'x'; start the processes with torchrun"),
    ("WORLD_SIZE=2 RANK=y MASTER_ADDR=a MASTER_PORT=1 LOCAL_RANK=0 {}", 2, "the variable RANK is"),
]


def shell(line: str, place: Path) -> subprocess.CompletedProcess[str]:
    """What it does, in a directory."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line}"], cwd=place, capture_output=True, text=True,
        timeout=300, env=os.environ,
    )  # fmt: skip


def check(done: subprocess.CompletedProcess[str], code: int, said: str, name: str) -> None:
    """Its code, and that one line says why, or none where it works."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    if said:
        assert len(lines) == 1 and said in lines[0], done.stderr
        assert lines[0].startswith(f"{name}: error: ")
    else:
        assert "Traceback" not in done.stderr and "error" not in done.stderr, done.stderr


@pytest.mark.parametrize(("how", "code", "said"), PLACES)
def test_wherever_it_is_started(toy: Toy, tmp_path: Path, how: str, code: int, said: str) -> None:
    done = shell(how.format(f"{PROGRAM} info {toy.lang}"), tmp_path)
    check(done, code, said, "chainstitch info")
    if not code and ">&-" not in how.replace("2>&-", "") and "|" not in how:
        assert "phones" in done.stdout
    if not how.startswith("{}"):  # streams, which matter to whatever is printed
        return
    done = shell(how.format(f"{PROGRAM} --version"), tmp_path)
    check(done, code, said, "chainstitch")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("how", "code", "said"), HEAVY)
def test_training_wherever_it_is_started(
    toy: Toy, tmp_path: Path, how: str, code: int, said: str
) -> None:
    own = tmp_path / "toy"
    shutil.copytree(toy.place, own)
    command = toy.arguments(tmp_path / "exp", "--set", "training.passes=0.1")
    before = fingerprint(own)
    done = shell(how.format(" ".join([PROGRAM, *command])), own)
    check(done, code, said, "chainstitch train")
    assert (tmp_path / "exp" / "1.pt").is_file() == (not code)
    assert fingerprint(own) == before


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    """What is printed, and what libraries print, would go into the file."""
    code = (
        "import os, sys\n"
        "from chainstitch.utils.terminal import open_closed_streams\n"
        "open_closed_streams()\n"
        f"stream = open({str(tmp_path / 'data')!r}, 'w')\n"
        "assert stream.fileno() > 2\n"
        "print('said'); print('said', file=sys.stderr); os.write(1, b'said'); sys.stdin.read()\n"
    )
    (tmp_path / "code.py").write_text(code)
    done = shell(f"{sys.executable} code.py <&- >&- 2>&-", tmp_path)
    assert done.returncode == 0
    assert (tmp_path / "data").read_text() == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts want root")
def test_compiled_code_that_cannot_be_kept(repository: Path, tmp_path: Path) -> None:
    read_only = f"mount --bind {repository} {repository} && mount -o remount,ro,bind {repository}"
    if shell(f"unshare -m bash -c '{read_only}'", tmp_path).returncode:
        pytest.skip("no mount namespaces here")
    code = "from chainstitch.utils.compiled import njit; from chainstitch.nnet.chain import cpu"
    python = f'HOME=/proc/x PYTHONDONTWRITEBYTECODE=1 {sys.executable} -c "{code}"'
    done = shell(f"unshare -m bash -c '{read_only} && {python}'", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("compiled code cannot be kept") == 1
    assert "NUMBA_CACHE_DIR" in done.stderr
