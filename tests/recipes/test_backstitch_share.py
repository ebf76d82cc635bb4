"""egs/backstitch/local/share.py: jobs that share the runs of a plan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.recipes.backstitch_scripts import RECIPE

# A job whose runs write their number and process, in the directory of the run; what they do beyond
# that, the plan says.
JOB = """
import json, os, signal, sys, time
import share
from pathlib import Path
from chainstitch.utils.errors import UserError

share.WANTED = ()

def one(row, options):
    out = Path(row["out"])
    out.mkdir()
    (out / "begun").write_text(str(os.getpid()))
    if row["what"] == "fails":
        raise UserError("no luck")
    if row["what"] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if row["what"] == "waits":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(144))
        (out / "waits").touch()
        time.sleep(60)
    (out / "result.json").write_text(json.dumps({"run": row}))

code = share.main("A job.", one)
print(code, "torch" in sys.modules)
sys.exit(code)
"""
SAME = {"settings": [], "net": "", "net_sum": "", "seed": 0}


def plan(tmp_path: Path, *what: str) -> Path:
    rows = [{"out": str(tmp_path / str(n)), "what": each} | SAME for n, each in enumerate(what)]
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(rows))
    return path


def start(path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(path), *arguments], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(RECIPE / "local")},
    )  # fmt: skip


def done(tmp_path: Path) -> list[str]:
    return sorted(path.parent.name for path in tmp_path.glob("*/result.json"))


def test_two_jobs_do_each_run_once_in_processes_of_their_own(tmp_path):
    path = plan(tmp_path, *5 * ["writes"])
    for job, runs in (("1", ["0", "2", "4"]), ("2", ["0", "1", "2", "3", "4"])):
        assert start(path, job, "--jobs", "2").wait() == 0
        assert done(tmp_path) == runs
    assert len({each.read_text() for each in tmp_path.glob("*/begun")}) == 5


def test_runs_that_are_done_are_left_alone_and_torch_is_not_even_imported(tmp_path):
    path = plan(tmp_path, "writes")
    assert start(path, "1").wait() == 0
    before = (tmp_path / "0" / "begun").read_text()
    said, _ = start(path, "1").communicate()
    assert said == "1 of 1 runs are done\n0 False\n"
    assert (tmp_path / "0" / "begun").read_text() == before


@pytest.mark.parametrize(("what", "code"), [("fails", 1), ("killed", 137)])
def test_a_run_that_fails_keeps_no_other_from_being_done(tmp_path, what, code):
    job = start(plan(tmp_path, what, "writes"), "1")
    _, errors = job.communicate()
    assert (job.returncode, done(tmp_path)) == (code, ["1"])
    assert what == "killed" or errors == f"{tmp_path}/0: error: no luck\n"


def test_a_job_that_is_told_to_end_waits_for_its_run_and_begins_no_other(tmp_path):
    job = start(plan(tmp_path, "waits", "writes"), "1")
    while not (tmp_path / "0" / "waits").exists():
        time.sleep(0.01)
    job.send_signal(signal.SIGTERM)
    assert job.wait(20) == 144
    assert not (tmp_path / "1").exists()


def test_a_run_ends_with_a_job_that_is_killed(tmp_path):
    job = start(plan(tmp_path, "waits"), "1")
    while not (tmp_path / "0" / "waits").exists():
        time.sleep(0.01)
    job.kill()
    job.wait()
    run = int((tmp_path / "0" / "begun").read_text())
    deadline = time.monotonic() + 20
    while Path(f"/proc/{run}").exists() and time.monotonic() < deadline:
        state = Path(f"/proc/{run}/stat").read_text().rpartition(")")[2].split()[0]
        if state == "Z":  # ended, and nobody has asked for its exit code
            break
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{run}").exists()
