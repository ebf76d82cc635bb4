"""How often a job has gone back into the queue, and whether it may again."""

from __future__ import annotations

import logging
from collections import Counter

from chainstitch.utils.queue.grammar import Jobs

log = logging.getLogger(__name__)


class Requeues:
    """Counts, bounds and announces the second starts of jobs."""

    def __init__(self, jobs: Jobs, most: int) -> None:
        self._jobs, self._most = jobs, most
        self._counts: Counter[int] = Counter()

    def count(self, number: int) -> int:
        """How often that job went back."""
        return self._counts[number]

    def again(self, number: int, reason: str) -> bool:
        """Whether the job goes back once more; says so."""
        if self._counts[number] >= self._most:
            return False
        self._counts[number] += 1
        log.warning(
            "%s: %s; back into the queue (%d of %d)",
            self._jobs.job(number).log,
            reason,
            self._counts[number],
            self._most,
        )
        return True
