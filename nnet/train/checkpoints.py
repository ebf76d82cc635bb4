"""The checkpoints of a training run: `<n>.pt` after n iterations, and `paused.pt` within one.

`0.pt` is there in the first iteration only, and only if it has parallel jobs, which begin with it.
Those after iterations are kept, the last `keep` of them, for model combination. `paused.pt` is
there only where a run was told to stop, until the iteration that it stands in is done.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from chainstitch.utils import checkpoint
from chainstitch.utils.errors import UserError
from chainstitch.utils.unfinished import clear_files

logger = logging.getLogger(__name__)

KEYS = ("model", "stepper", "examples", "next_iteration", "num_iterations", "finished", "rows")
PAUSED = "paused.pt"


class Checkpoints:
    """Those in `directory` of a run of `num_iterations`; states have KEYS, paused ones "progress".

    A process for which `writes` is false reads them only, as another one writes the same.
    """

    def __init__(
        self, directory: Path, num_iterations: int, keep: int = 20, writes: bool = True
    ) -> None:
        self.directory, self.num_iterations, self.keep = directory, num_iterations, keep
        self.writes = writes
        self.opened = directory  # what was read last, for messages

    def save(self, state: dict[str, Any]) -> None:
        """Writes the one after an iteration; deletes those that are no longer wanted."""
        if not self.writes:
            return
        number: int = state["next_iteration"]
        checkpoint.save(state, self.directory / f"{number}.pt")
        (self.directory / PAUSED).unlink(missing_ok=True)
        for old in checkpoint.iterations(self.directory):
            if old <= number - self.keep or old == 0 < number:
                (self.directory / f"{old}.pt").unlink()

    def pause(self, state: dict[str, Any]) -> None:
        """Writes the one within an iteration."""
        if self.writes:
            checkpoint.save(state, self.directory / PAUSED)

    def newest(self, device: str) -> dict[str, Any] | None:
        """The newest that can be read, None if there is none; damaged ones are named in the log.

        What a kill left half written is deleted.

        Raises:
            UserError: it belongs to a run of another length.
        """
        if self.writes:
            clear_files(self.directory, r"\d+\.pt|paused\.pt|train\.jsonl")
        numbers = checkpoint.iterations(self.directory)
        for path, keys in self._newest_first(numbers):
            try:
                state = checkpoint.load(path, device, keys)
            except UserError as error:
                logger.warning("%s", error)
                continue
            self._check(state, path)
            if path.name == PAUSED and numbers and state["next_iteration"] < numbers[-1]:
                continue  # a kill came before it was deleted
            logger.info("resumed from %s", path)
            self.opened = path
            return state
        return None

    def after(self, number: int, device: str) -> dict[str, Any]:
        """The one after `number` iterations.

        Raises:
            UserError: it cannot be read, or belongs to a run of another length.
        """
        path = self.directory / f"{number}.pt"
        state = checkpoint.load(path, device, KEYS)
        self._check(state, path)
        self.opened = path
        return state

    def _check(self, state: dict[str, Any], path: Path) -> None:
        if state["num_iterations"] != self.num_iterations:
            raise UserError(
                f"{path} is from a run of {state['num_iterations']} iterations, this one would "
                f"have {self.num_iterations}; use the same config and data, or --overwrite"
            )

    def _newest_first(self, numbers: list[int]) -> Iterator[tuple[Path, tuple[str, ...]]]:
        if (self.directory / PAUSED).exists():
            yield self.directory / PAUSED, (*KEYS, "progress")
        for number in reversed(numbers):
            yield self.directory / f"{number}.pt", KEYS
