"""`chainstitch run` is the same on every back end: exit code, stdout, stderr, logs, files.

Each row of TABLE is run in a directory of its own on the local back end, on Grid Engine (the fake
one of tests/fakes, which really runs the jobs) and, where tests/slurm/run.sh has started one, on
Slurm. What can be seen from outside must be equal but for times, and must be what the row says.
CHAINSTITCH_TEST_BACKENDS, as in "slurm sge", names schedulers that are really there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.commands import chainstitch
from tests.fakes.install import fake_sge

REAL = os.environ.get("CHAINSTITCH_TEST_BACKENDS", "").split()
CONFIG = """
patience = 20.0
poll = 1.0
[sge]
gpu = []
mem = []
"""
WEIRD = "a b; echo $HOME `ls` * \"' \\ zwölf"
AGAIN = "echo here; test -e saved && exit 0; touch saved; exit 144"
ALONE = "mkdir only-one && sleep 0.2 && rmdir only-one && echo JOB >> order"


@dataclass(frozen=True)
class Row:
    """A command line, its exit code, and words of stdout, stderr or a file (by name)."""

    name: str
    line: list[str]
    code: int = 0
    said: str = ""
    content: tuple[str, str] | None = None


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


TABLE = [
    Row("one job", ["a.log", "echo", "out"], content=("a.log", "\n#\nout\n# Accounting")),
    Row("array", ["JOB=1:3", "l/a.JOB.log", "echo", "x JOB y"], content=("l/a.3.log", "\nx 3 y\n")),
    Row("one number", ["JOB=7", "a.JOB.log", "echo", "JOB"], content=("a.7.log", "\n7\n")),
    Row("not from one", ["JOB=4:5", "JOB.log", "echo", "JOB"], content=("5.log", "\n5\n")),
    Row("any name", ["LMWT=9:10", "LMWT.log", "echo", "LMWT JOB"], content=("9.log", "\n9 JOB\n")),
    Row("directory by number", ["JOB=1:2", "o/JOB/a.log", "true"], content=("o/2/a.log", "code 0")),
    Row("options before", ["--mem", "1G", "JOB=1:2", "a.JOB.log", "true"]),
    Row("options after", ["JOB=1:2", "--max-jobs-run", "1", "--mem", "1G", "a.JOB.log", "true"]),
    Row(
        "options on both sides",
        ["--num-threads", "2", "JOB=1:2", "--max-time", "1h", "a.JOB.log"]
        + sh("echo threads $OMP_NUM_THREADS"),
        content=("a.1.log", "\nthreads 2\n# Accounting: time=T threads=2\n"),
    ),
    Row("underscores", ["--num_threads", "1", "--max_jobs_run", "2", "a.log", "true"]),
    Row("the command's own options", ["a.log", "echo", "--gpu", "x", "--help"], said=""),
    Row("no shell", ["a.log", "printf", "[%s]", WEIRD, "", "-"], content=("a.log", f"[{WEIRD}]")),
    Row("newline", ["a.log", "echo", "a\nb"], content=("a.log", "# echo 'a\\nb'\n")),
    Row("no input", ["a.log", "cat"], content=("a.log", "code 0")),
    Row("both outputs", ["a.log", *sh("echo 1; echo 2 >&2; echo 3")], content=("a.log", "1\n2\n3")),
    Row("unfinished line", ["a.log", "printf", "x"], content=("a.log", "\nx\n# Accounting")),
    Row("place and variables", ["a.log", *sh("pwd; echo $ROW")], content=("a.log", "HERE\nrow\n")),
    Row("one at a time", ["--max-jobs-run", "1", "JOB=1:3", "JOB.log", *sh(ALONE)]),
    Row("gpu", ["--gpu", "1", "--num-threads", "1", "a.log", *sh("echo $CUDA_VISIBLE_DEVICES")],
        content=("a.log", "\n#\n0\n#")),
    Row("follow", ["--follow", "a.log", *sh("echo 1; sleep 0.3; echo 2 >&2")], said="1\n2\n"),
    Row("follow a failure", ["--follow", "a.log", *sh("seq 9; exit 3")], 1, "exit code 3"),
    Row("put back", ["--follow", "a.log", *sh(AGAIN)], said="exit code 144; back into the queue",
        content=("a.log", "(code 144) at T")),
    Row("put back too often", ["--max-requeues", "1", "a.log", *sh("echo x; exit 144")], 1,
        "the job failed (exit code 144)"),
    Row("failure", ["a.log", *sh("seq 9; exit 3")], 1,
        "5\n6\n7\n8\n9\nchainstitch run: error: the job failed (exit code 3); log: a.log\n"),
    Row("not there", ["a.log", "no-such-program"], 1, "exit code 127"),
    Row("not a program", ["a.log", "./conf/queue.toml"], 1, "exit code 126"),
    Row("killed", ["a.log", *sh("kill -9 $$")], 1, "exit code 137"),
    Row("two of three", ["JOB=1:3", "a.JOB.log", "test", "JOB", "=", "2"], 1,
        "2 of 3 jobs failed (exit code 1); log: a.1.log a.3.log"),
    Row("many", ["JOB=1:5", "a.JOB.log", "false"], 1, "a.1.log a.2.log a.3.log and 2 more"),
    Row("too long", ["--max-time", "1s", "a.log", *sh("echo x; exec sleep 60")], 1,
        "exit code 143: over its time limit of 1 s"),
    Row("nothing", [], 2, "no log file"),
    Row("no command", ["a.log"], 2, "no command after the log file 'a.log'"),
    Row("range only", ["JOB=1:2"], 2, "no log file"),
    Row("one log for two", ["JOB=1:2", "a.log", "true"], 2, "put JOB in its name"),
    Row("from zero", ["JOB=0:2", "a.JOB.log", "true"], 2, "numbered from 1 up"),
    Row("backwards", ["JOB=3:2", "a.JOB.log", "true"], 2, "numbered from 1 up"),
    Row("unknown before", ["--max-job-run", "2", "a.log", "true"], 2, "--max-jobs-run"),
    Row("unknown after", ["JOB=1:2", "--partition", "x", "a.JOB.log", "true"], 2, "--partition"),
    Row("no threads", ["JOB=1:2", "--num-threads", "0", "a.JOB.log", "true"], 2, "--num-threads"),
    Row("gpus by name", ["--gpu", "many", "a.log", "true"], 2, "--gpu"),
    Row("bad memory", ["--mem", "4 GB", "a.log", "true"], 2, "e.g. 4G"),
    Row("bad time", ["--max-time", "30", "a.log", "true"], 2, "e.g. 90s, 30m"),
    Row("no config", ["--config", "none.toml", "a.log", "true"], 2, "none.toml does not exist"),
    Row("bad config", ["--config", "bad.toml", "a.log", "true"], 2, "did you mean 'slurm.always'?"),
    Row("follow many", ["--follow", "JOB=1:2", "a.JOB.log", "true"], 2, "--follow shows one job's"),
]  # fmt: skip

Observed = dict[str, object]


def observe(place: Path, backend: str, variables: dict[str, str], row: Row) -> Observed:
    """Runs a row in a new directory: exit code, output, and every file but the record's."""
    (place / "conf").mkdir(parents=True)
    (place / "conf" / "queue.toml").write_text(CONFIG)
    (place / "bad.toml").write_text("[slurm]\nallways = []\n")
    before = {path.relative_to(place) for path in place.rglob("*")}
    variables = {"ROW": "row", "CUDA_VISIBLE_DEVICES": "0"} | variables
    done = chainstitch(["run", "--backend", backend, *row.line], place, variables)
    files = {
        str(path.relative_to(place)): timeless(path.read_text(), place)
        for path in sorted(place.rglob("*"))
        if path.is_file()
        and path.relative_to(place) not in before
        and "q" not in path.relative_to(place).parts
    }
    out, err = timeless(done.stdout, place), timeless(done.stderr, place)
    return {"code": done.returncode, "stdout": out, "stderr": err, **files}


def timeless(text: str, place: Path) -> str:
    text = text.replace(str(place), "HERE")
    text = re.sub(
        r"\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "T", text
    )
    return re.sub(r"(time=|elapsed time )\d+", r"\1T", text)


@pytest.fixture(scope="module")
def on(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Observed]]:
    """The observations of all rows on a back end, made once."""
    made: dict[str, dict[str, Observed]] = {}

    def all_rows(backend: str) -> dict[str, Observed]:
        if backend not in made:
            place = tmp_path_factory.mktemp(backend)
            variables: dict[str, str] = {}
            if backend == "sge" and backend not in REAL:
                variables = fake_sge(place / "fake")

            def run(row: Row) -> Observed:
                where = place / row.name.replace(" ", "-")
                return observe(where, backend, variables, row)

            with ThreadPoolExecutor(2 if backend == "local" else 4) as pool:
                found = pool.map(run, TABLE)
                made[backend] = dict(zip((row.name for row in TABLE), found, strict=True))
        return made[backend]

    return all_rows


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
@pytest.mark.parametrize("backend", ["local", *(REAL or ["sge"])])
def test_contract(on: Callable[[str], dict[str, Observed]], backend: str, row: Row) -> None:
    seen = on(backend)[row.name]
    assert seen["code"] == row.code, seen
    assert row.said in f"{seen['stdout']}{seen['stderr']}"
    if row.content:
        assert row.content[1] in str(seen[row.content[0]])
    if row.code == 2:
        assert str(seen["stderr"]).count("\n") == 1
        assert list(seen) == ["code", "stdout", "stderr"]
    assert seen == on("local")[row.name]
