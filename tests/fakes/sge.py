"""qsub, qstat and qdel of a Grid Engine that is not there: they really run the jobs, here.

Options, messages, exit codes and the XML are those of Grid Engine 8.1.9 from Debian, as it was seen
to answer. State is in the directory $FAKE_SGE: `jobs/<id>/<task>` holds a task's state until it is
over. Tests make files there to make trouble:

    refuse    a message: qsub gives it and takes nothing
    silent    qstat fails as it does when the master is away
    forget    qstat knows no job
    broken    tasks go to Eqw and are never started
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

PLACE = Path(os.environ["FAKE_SGE"])
SLOTS = 4
NOTIFY_SECONDS = 10.0  # between SIGUSR2 and SIGKILL
PAIRS = {"-r", "-S", "-j", "-o", "-N", "-t", "-tc", "-l", "-q"}
SINGLE = {"-terse", "-notify", "-V", "-cwd"}
RESOURCES = {"mem_free", "h_rt", "gpu"}


def qsub(arguments: list[str]) -> int:
    options: dict[str, str] = {}
    while arguments and arguments[0].startswith("-"):
        name = arguments.pop(0)
        if name == "-pe":
            if arguments.pop(0) != "smp":
                return unable("job rejected: the requested parallel environment does not exist")
            arguments.pop(0)
        elif name in PAIRS:
            options[name] = arguments.pop(0)
            resource = options[name].split("=")[0]
            if name == "-l" and resource not in RESOURCES:
                return unable(f'unknown resource "{resource}"')
        elif name not in SINGLE:
            print(f'qsub: invalid option argument "{name}"', file=sys.stderr)
            return 2
    if (PLACE / "refuse").exists():
        return unable((PLACE / "refuse").read_text())
    place = PLACE / "jobs"
    place.mkdir(exist_ok=True)
    (PLACE / "numbers").mkdir(exist_ok=True)
    number = 0
    while number == 0:
        number = 1 + max([0, *(int(path.name) for path in PLACE.glob("numbers/*"))])
        try:
            (PLACE / "numbers" / str(number)).mkdir()
        except FileExistsError:  # another qsub was faster
            number = 0
    shutil.copy(arguments[0], place.parent / "numbers" / str(number) / "script")
    last = int(options["-t"].removeprefix("1-"))
    new = place / f".{number}"
    new.mkdir()
    state = "Eqw" if (PLACE / "broken").exists() else "qw"
    for task in range(1, last + 1):
        (new / str(task)).write_text(state)
    new.rename(place / str(number))
    if state == "qw":
        subprocess.Popen(
            [sys.executable, __file__, "execute", str(number), options.get("-tc", str(SLOTS))],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    print(f"{number}.1-{last}:1")
    return 0


def unable(message: str) -> int:
    print(f"Unable to run job: {message}\nExiting.", file=sys.stderr)
    return 1


def execute(arguments: list[str]) -> int:
    number, most = arguments[0], min(SLOTS, int(arguments[1]))
    place, script = PLACE / "jobs" / number, PLACE / "numbers" / number / "script"
    waiting = tasks_of(place)
    running: dict[Path, subprocess.Popen[bytes]] = {}
    told: dict[Path, float] = {}
    while waiting or running:
        waiting = [path for path in waiting if path.exists()]
        while waiting and len(running) < most:
            path = waiting.pop(0)
            path.write_text("r")
            running[path] = subprocess.Popen(
                ["/bin/sh", str(script)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=os.environ | {"SGE_TASK_ID": path.name},
                start_new_session=True,
            )
        for path, process in list(running.items()):
            if process.poll() is not None:
                path.unlink()
                del running[path]
            elif path.read_text() == "dr" and path not in told:
                told[path] = time.time()
                os.killpg(process.pid, signal.SIGUSR2)
            elif path in told and time.time() - told[path] > NOTIFY_SECONDS:
                os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    place.rmdir()
    return 0


def qstat(arguments: list[str]) -> int:
    assert arguments == ["-xml", "-g", "d"]
    if (PLACE / "silent").exists():
        print("error: commlib error: got select error (Connection refused)", file=sys.stderr)
        return 1
    lists: dict[str, str] = {"running": "", "pending": ""}
    known = [] if (PLACE / "forget").exists() else list((PLACE / "jobs").glob("[0-9]*"))
    for path in [task for job in known for task in tasks_of(job)]:
        try:
            state = path.read_text()
        except FileNotFoundError:
            continue
        kind = "running" if "r" in state else "pending"
        lists[kind] += f"""
    <job_list state="{kind}">
      <JB_job_number>{path.parent.name}</JB_job_number>
      <JAT_prio>0.50000</JAT_prio>
      <state>{state}</state>
      <slots>1</slots>
      <tasks>{path.name}</tasks>
    </job_list>"""
    print(f"""<?xml version='1.0'?>
<job_info  xmlns:xsd="http://arc.liv.ac.uk/repos/darcs/sge/source/dist/qstat.xsd">
  <queue_info>{lists["running"]}
  </queue_info>
  <job_info>{lists["pending"]}
  </job_info>
</job_info>""")
    return 0


def tasks_of(job: Path) -> list[Path]:
    try:
        return sorted(job.iterdir(), key=lambda path: int(path.name))
    except FileNotFoundError:
        return []


def qdel(arguments: list[str]) -> int:
    code = 0
    for name in arguments:
        number, _, task = name.partition(".")
        tasks = [p for p in tasks_of(PLACE / "jobs" / number) if task in ("", p.name)]
        if not tasks:
            print(f'denied: job "{name}" does not exist')
            code = 1
        for path in tasks:
            if path.read_text() == "r":
                path.write_text("dr")
            elif path.read_text() != "dr":
                path.unlink()
    return code


if __name__ == "__main__":
    commands = {"qsub": qsub, "qstat": qstat, "qdel": qdel, "execute": execute}
    sys.exit(commands[sys.argv[1]](sys.argv[2:]))
