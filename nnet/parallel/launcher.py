"""Starting the processes of ranks.py on this machine, by torchrun's own launcher.

torchrun exits with 1 also where its processes were told to stop and saved. This raises `Stopped`
then, as one process does, so that `chainstitch run` puts the training back into the queue.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from chainstitch.utils.errors import UserError
from chainstitch.utils.stop_signals import SIGNALS, Stopped

GRACE_SECONDS = 600  # for the processes to save after a signal, where a scheduler has no less


def launch(arguments: Sequence[str], processes: int) -> None:
    """Runs `chainstitch ARGUMENTS` in several processes, and waits for them.

    Raises:
        Stopped: they were told to stop, or this one was.
        UserError: one of them failed; the others are ended.
    """
    cores = str(max(1, len(os.sched_getaffinity(0)) // processes))
    for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, cores)  # or each would take all of them
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=processes, rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", run_id="train", max_restarts=0,
        signals_to_handle=",".join(["SIGINT", *(each.name for each in SIGNALS)]),
        shutdown_timeout=GRACE_SECONDS,
    )  # fmt: skip
    command = ["-m", "chainstitch.bin.main", *arguments]
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as error:
        codes = {rank: failure.exitcode for rank, failure in error.failures.items()}
        if Stopped.exit_code in codes.values():
            raise Stopped("the processes were stopped; see what the first one says") from None
        failed = ", ".join(f"{rank} (code {code})" for rank, code in sorted(codes.items()))
        raise UserError(f"of {processes} processes failed: {failed}; see what it says") from None
    except SignalException as error:
        if error.sigval not in SIGNALS:
            raise KeyboardInterrupt from None
        raise Stopped(
            f"stopped by {error.sigval.name}; run it again with --resume auto to go on"
        ) from None
