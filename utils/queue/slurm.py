"""Slurm: sbatch, squeue, scancel. No accounting database is needed, and `sbatch --wait`, whose exit
code is 0 for a job that was cancelled before it began, is not used.

Slurm is told not to put jobs back in the queue by itself: a job that was preempted has saved its
state and said so by its exit code, and would otherwise go back twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.queue.scheduler import NoAnswer, Refused, State, Task, ask, words

# what sbatch says when it may take the same jobs later
LATER = re.compile(
    r"temporarily|try again|timed out|unable to contact|connection refused|socket|limit"
    r"|policy|inactive or drain|slurm_persist|zero bytes",
    re.IGNORECASE,
)
ALIVE = {
    *("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "SIGNALING"),
    *("STAGE_OUT", "RESIZING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"),
    *("RESV_DEL_HOLD", "REVOKED"),
}
DIED = {"NODE_FAIL", "BOOT_FAIL", "PREEMPTED"}


class Slurm:
    """The scheduler of `--backend slurm`."""

    name = "Slurm"
    task_variable = "SLURM_ARRAY_TASK_ID"
    most_tasks = 1000  # one less than MaxArraySize if the site has left it alone

    def submit(
        self, script: Path, name: str, tasks: int, at_a_time: int | None, flags: Sequence[str]
    ) -> str:
        limit = f"%{at_a_time}" if at_a_time else ""
        try:
            done = ask(
                [
                    *("sbatch", "--parsable", "--no-requeue", "--export=ALL", "--output=/dev/null"),
                    *("--input=/dev/null", f"--job-name={name}", f"--array=1-{tasks}{limit}"),
                    *flags,
                    str(script),
                ]
            )
        except NoAnswer as error:
            raise Refused(str(error)) from None
        if done.returncode:
            said = re.sub(r"sbatch: (error: )?", "", words(done))
            if LATER.search(said) and "invalid" not in said.lower():
                raise Refused(said)
            raise UserError(f"Slurm does not take the jobs: {said}")
        return done.stdout.strip().split(";")[0]  # id, or id;cluster

    def states(self, ids: Sequence[str]) -> Mapping[Task, State]:
        listed = ask(
            [
                *("squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(ids)}"),
                "--format=%F|%K|%T|%N",
            ]
        )
        if listed.returncode:
            if "Invalid job id" in listed.stderr:  # all are over, and forgotten
                return {}
            raise NoAnswer(words(listed))
        found = {}
        for line in listed.stdout.splitlines():
            array, task, word, node = line.strip().split("|")
            if task.isdecimal():
                found[array, int(task)] = State(word, word not in ALIVE, bool(node), word in DIED)
        return found

    def cancel(self, ids: Sequence[str]) -> None:
        ask(["scancel", "--quiet", *ids])
