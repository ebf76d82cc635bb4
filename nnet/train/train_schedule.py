"""The settings of the optimiser that move from iteration to iteration, all in one place."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """How the optimiser's settings move; see optim/schedule.py and optim/dropout_schedule.py.

    Attributes:
        initial_lr, final_lr: for summed gradients.
        max_change: global limit; layer_max_change: False leaves the layers' own limits out.
        backstitch_scale, backstitch_interval, slow_start: alpha, m, iterations of the ramp.
        reset_natural_gradient: start the Fisher estimates afresh in every iteration, as Kaldi does.
        dropout: the schedule's text; empty leaves the layers' own proportions.
        shrink, proportional_shrink: what parameters are multiplied by before every iteration.
    """

    initial_lr: float
    final_lr: float
    max_change: float = 2.0
    layer_max_change: bool = True
    backstitch_scale: float = 0.0
    backstitch_interval: int = 4
    slow_start: int = 15
    reset_natural_gradient: bool = False
    dropout: str = ""
    shrink: float = 1.0
    proportional_shrink: float = 0.0
