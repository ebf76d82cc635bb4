"""Grid Engine (Sun's, Univa's, the Son of): qsub, qstat, qdel.

Jobs are submitted with -notify, so that a job that is to be killed is told before; with -r n, since
a job that is put back in the queue is put back by us; and with -V, the environment of the caller.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.queue.scheduler import NoAnswer, Refused, State, Task, ask, words

# what qsub says when it may take the same jobs later
LATER = re.compile(
    r"unable to contact|commlib error|try (again|it) later|jobs are allowed|quota"
    r"|timeout|timed out",
    re.IGNORECASE,
)


class GridEngine:
    """The scheduler of `--backend sge`."""

    name = "Grid Engine"
    task_variable = "SGE_TASK_ID"
    most_tasks = 75000  # max_aj_tasks if the site has left it alone

    def submit(
        self, script: Path, name: str, tasks: int, at_a_time: int | None, flags: Sequence[str]
    ) -> str:
        limit = ["-tc", str(at_a_time)] if at_a_time else []
        try:
            done = ask(
                [
                    *("qsub", "-terse", "-notify", "-r", "n", "-V", "-cwd", "-S", "/bin/sh"),
                    *("-j", "y", "-o", "/dev/null", "-N", name, "-t", f"1-{tasks}"),
                    *limit,
                    *flags,
                    str(script),
                ]
            )
        except NoAnswer as error:
            raise Refused(str(error)) from None
        # warnings may stand before the id: 17.1-8:1
        found = re.search(r"^(\d+)(\.\d+-\d+:\d+)?$", done.stdout, re.MULTILINE)
        if done.returncode or not found:
            said = re.sub(r"^Unable to run job: | Exiting\.$", "", words(done))
            if LATER.search(said):
                raise Refused(said)
            raise UserError(f"Grid Engine does not take the jobs: {said}")
        return found[1]

    def states(self, ids: Sequence[str]) -> Mapping[Task, State]:
        listed = ask(["qstat", "-xml", "-g", "d"])
        if listed.returncode:
            raise NoAnswer(words(listed))
        try:
            tree = ET.fromstring(listed.stdout)
        except ET.ParseError as error:
            raise NoAnswer(f"qstat -xml cannot be read: {error}") from None
        found = {}
        for item in tree.iter("job_list"):
            array, word = item.findtext("JB_job_number", ""), item.findtext("state", "")
            if array in ids:
                # E: it could not be started, and waits for the operator
                state = State(word, "E" in word, item.get("state") == "running")
                found[array, int(item.findtext("tasks") or 1)] = state
        return found

    def cancel(self, ids: Sequence[str]) -> None:
        ask(["qdel", *ids])
