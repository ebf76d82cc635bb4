#!/usr/bin/env python3
"""Prints the learning rate of the systems that make the fewest errors on dev.

Systems are called NAME_lrRATE_sSEED; errors are summed over the seeds of a rate, and of equal ones
the better held-out objective counts.

Example: best_rate.py exp/ce_tree_lr1e-3_s100 exp/ce_tree_lr2e-3_s100
"""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from pathlib import Path

from chainstitch.utils.errors import UserError
from chainstitch.utils.score.experiment import read_experiment


def best_rate(systems: list[Path]) -> str:
    """The rate as the names have it.

    Raises:
        UserError: a system has no dev set that was decoded, or no rate in its name.
    """
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for path in systems:
        system = read_experiment(path)
        rate = system.name.rpartition("_lr")[2]
        if rate == system.name or "dev" not in system.scores:
            raise UserError(f"{path}: wanted NAME_lrRATE_sSEED with decode_dev, scored")
        found[rate][0] += system.scores["dev"].total.errors
        found[rate][1] -= -math.inf if system.valid_objf is None else system.valid_objf
    return min(found, key=lambda rate: found[rate])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("systems", nargs="+", type=Path)
    try:
        print(best_rate(parser.parse_args().systems))
    except UserError as error:
        sys.exit(f"{parser.prog}: error: {error}")
