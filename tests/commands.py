"""Many `chainstitch` commands, each in a process of its own, without importing everything for each.

A server process imports the command line once and forks for every command; it is started from
scratch, so that no thread of the tests is in it.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.preloaded", "tests.faults.engine"])


def chainstitch(
    arguments: Sequence[str], cwd: Path, variables: Mapping[str, str], timeout: float = 300.0
) -> subprocess.CompletedProcess[str]:
    """What `chainstitch ARGUMENTS` does in a directory, with these variables added."""
    with tempfile.TemporaryDirectory() as place:
        outputs = [Path(place, "out"), Path(place, "err")]
        process = context.Process(
            target=_run, args=(list(arguments), str(cwd), dict(variables), list(map(str, outputs)))
        )
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise TimeoutError(f"{arguments} has not ended after {timeout} s")
        out, err = (path.read_text() for path in outputs)
        # of many at a time the server has lost the code of one, once
        said = Path(place, "code")
        code = int(said.read_text()) if said.exists() else process.exitcode
    return subprocess.CompletedProcess(list(arguments), code, out, err)


def _run(arguments: list[str], cwd: str, variables: dict[str, str], outputs: list[str]) -> None:
    from chainstitch.bin.main import app

    os.chdir(cwd)
    os.environ.update(variables)
    for number, path in enumerate(outputs, 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    try:
        app(arguments)
    except SystemExit as end:
        Path(outputs[0]).with_name("code").write_text(str(end.code or 0))
        raise
