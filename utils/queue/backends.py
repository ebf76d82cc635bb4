"""The back ends by name, and one batch of jobs through any of them."""

from __future__ import annotations

from collections.abc import Callable

from chainstitch.utils.kept_signals import Signals
from chainstitch.utils.queue import cluster, local, record, site
from chainstitch.utils.queue.grammar import Ended, Jobs, Resources
from chainstitch.utils.queue.scheduler import Scheduler
from chainstitch.utils.queue.sge import GridEngine
from chainstitch.utils.queue.slurm import Slurm

SCHEDULERS: dict[str, Scheduler] = {"slurm": Slurm(), "sge": GridEngine()}
NAMES = ("local", *SCHEDULERS)


def run(
    backend: str,
    jobs: Jobs,
    resources: Resources,
    settings: site.Site,
    follow: Callable[[str], None] | None = None,
) -> dict[int, Ended]:
    """Runs the jobs and keeps a record of them; by number, how they ended.

    Args:
        backend: one of NAMES.
        follow: called with a single job's output as it comes.

    Raises:
        OSError: a log or the record cannot be written.
        UserError: a scheduler is not there, or does not take the jobs.
        KeyboardInterrupt: a signal came; what was started or submitted has been ended.
    """
    batch = record.begin(jobs, resources, backend)
    ended: dict[int, Ended] = {}
    try:
        if backend == "local":
            ended = local.run(jobs, resources, follow)
        else:
            flags = {"slurm": settings.slurm, "sge": settings.sge}[backend]
            arguments = site.arguments(flags, resources)
            ended = cluster.run(batch, SCHEDULERS[backend], settings, arguments, follow)
    finally:
        with Signals(children=False):  # one more does not keep the outcome from being noted
            record.finish(batch, ended)
    return ended
