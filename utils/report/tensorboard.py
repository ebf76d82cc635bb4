"""Rows of `train.jsonl` as TensorBoard scalars: `tensorboard --logdir exp` shows all runs together.

`train.jsonl` is the record; this is a view of it. A run that resumes writes a second event file
and tells TensorBoard to forget the points from there on, so that no curve runs backwards.

Events are written here and now, not by torch's SummaryWriter: its thread meets a full disk on its
own, and says so in a traceback.
"""

from __future__ import annotations

import itertools
import os
import socket
import time
from pathlib import Path
from typing import Any

from chainstitch.utils.score.train_log import number

DIRECTORY = "tensorboard"  # below the experiment's
FORMAT = "brain.Event:2"  # the first event says that it is of this one

_files = itertools.count()  # of this process, so that no two have the same name

# name shown -> where it stands in a row; what the loss calls its figures is shown as figures/NAME
SCALARS: dict[str, tuple[str, ...]] = {
    "objective/train_running": ("train_objf",),
    "objective/train": ("train_diag_objf",),
    "objective/valid": ("valid_objf",),
    "objective/second_step": ("step2_objf",),
    "optim/lr": ("lr",),
    "optim/backstitch_scale": ("alpha",),
    "optim/max_change_global": ("max_change", "global"),
    "optim/max_change_per_layer": ("max_change", "per_layer"),
    "optim/updates_skipped": ("max_change", "skipped"),
    "speed/seconds_per_iteration": ("seconds",),
}


class Scalars:
    """Writes rows; a value that a row lacks is left out.

    Args:
        experiment: its directory; events go to `tensorboard/` below it.
        first: the iteration that will be written first; later ones of earlier runs are forgotten.

    Raises:
        OSError: from the file system (a full disk, say).
    """

    def __init__(self, experiment: Path, first: int = 0) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        directory = experiment / DIRECTORY
        directory.mkdir(exist_ok=True)
        parts = (f"{int(time.time()):010d}", socket.gethostname(), os.getpid(), next(_files))
        name = ".".join(map(str, ("events.out.tfevents", *parts)))
        self._stream = open(directory / name, "wb")  # noqa: SIM115  closed by __exit__
        self._writer: Any = RecordWriter(self._stream)
        self._event = Event
        self._add(file_version=FORMAT, step=first)
        self._add(session_log=SessionLog(status=SessionLog.START), step=first)

    def write(self, row: dict[str, Any]) -> None:
        """One iteration; on disk when it returns, so that a running training can be watched."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        figures = {f"figures/{name}": (name,) for name in row.get("figures", ())}
        for name, keys in (SCALARS | figures).items():
            value = number(row, *keys)
            if value is not None:
                scalar = Summary.Value(tag=name, simple_value=value)
                self._add(summary=Summary(value=[scalar]), step=row["iter"])
        self._stream.flush()

    def _add(self, **what: Any) -> None:
        self._writer.write(self._event(wall_time=time.time(), **what).SerializeToString())

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
