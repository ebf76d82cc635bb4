"""Rows of `train.jsonl` as TensorBoard scalars: `tensorboard --logdir exp` shows all runs together.

`train.jsonl` is the record; this is a view of it. A run that resumes writes a second event file
and tells TensorBoard to forget the points from there on, so that no curve runs backwards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chainstitch.utils.score.train_log import number

DIRECTORY = "tensorboard"  # below the experiment's

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
    """

    def __init__(self, experiment: Path, first: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter  # half a second to import

        self._writer: Any = SummaryWriter(str(experiment / DIRECTORY), purge_step=first)

    def write(self, row: dict[str, Any]) -> None:
        """One iteration; on disk when it returns, so that a running training can be watched."""
        figures = {f"figures/{name}": (name,) for name in row.get("figures", ())}
        for name, keys in (SCALARS | figures).items():
            value = number(row, *keys)
            if value is not None:
                self._writer.add_scalar(name, value, row["iter"])
        self._writer.flush()

    def __enter__(self) -> Scalars:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()
