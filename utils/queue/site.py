"""`conf/queue.toml`: what the options of `chainstitch run` mean to a site's scheduler.

    patience = 60          # seconds that a shared disk may take to show a file of another machine

    [slurm]
    always = ["--account=speech"]
    no_gpu = ["--partition=cpu"]              # for jobs without --gpu
    gpu = ["--partition=gpu", "--gres=gpu:a100:{}"]

    [sge]
    num_threads = ["-pe", "smp", "{}"]

Each entry is a list of arguments for sbatch or qsub, as they are: no shell reads them. `{}` is the
option's value; in max_time, `{minutes}` and `{seconds}`. What is left out has the default below.
The scheduler gets a little more time than the job, which is stopped when its own time is up, with
the same words in its log everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chainstitch.utils import config
from chainstitch.utils.bounds import check_fields
from chainstitch.utils.queue.grammar import Resources

DEFAULT = Path("conf/queue.toml")
SPARE_SECONDS = 120  # for the start, and for a job that saves its state when its time is up


@dataclass
class Flags:
    """Arguments of a scheduler's submit command for each option."""

    always: list[str] = field(default_factory=list)
    no_gpu: list[str] = field(default_factory=list)
    gpu: list[str] = field(default_factory=list)
    mem: list[str] = field(default_factory=list)
    num_threads: list[str] = field(default_factory=list)
    max_time: list[str] = field(default_factory=list)


@dataclass
class Slurm(Flags):
    """Defaults for sbatch."""

    gpu: list[str] = field(default_factory=lambda: ["--gres=gpu:{}"])
    mem: list[str] = field(default_factory=lambda: ["--mem={}"])
    num_threads: list[str] = field(default_factory=lambda: ["--cpus-per-task={}"])
    max_time: list[str] = field(default_factory=lambda: ["--time={minutes}"])


@dataclass
class GridEngine(Flags):
    """Defaults for qsub."""

    gpu: list[str] = field(default_factory=lambda: ["-l", "gpu={}"])
    mem: list[str] = field(default_factory=lambda: ["-l", "mem_free={}"])
    num_threads: list[str] = field(default_factory=lambda: ["-pe", "smp", "{}"])
    max_time: list[str] = field(default_factory=lambda: ["-l", "h_rt={seconds}"])


@dataclass
class Site:
    """The whole file.

    Attributes:
        patience: seconds that a shared disk may take to show a file of another machine.
        poll: seconds between questions to the scheduler.
        submit_patience: seconds that a full queue is asked again to take the jobs.
    """

    patience: float = field(default=60.0, metadata={"bounds": "(0, 1000000]"})
    poll: float = field(default=5.0, metadata={"bounds": "(0, 100000]"})
    submit_patience: float = field(default=900.0, metadata={"bounds": "(0, 10000000]"})
    slurm: Slurm = field(default_factory=Slurm)
    sge: GridEngine = field(default_factory=GridEngine)

    def __post_init__(self) -> None:
        check_fields(self)


def load(path: Path | None) -> Site:
    """The site's file: `path`, or conf/queue.toml where there is one, or the defaults.

    Raises:
        UsageError: `path` does not exist; a key that is not known or of another type.
    """
    if path is None and not DEFAULT.is_file():
        return Site()
    return config.load(path or DEFAULT, Site)


def arguments(flags: Flags, resources: Resources) -> list[str]:
    """What goes on the scheduler's command line for these resources."""
    found = list(flags.always)
    if resources.gpu:
        found += _filled(flags.gpu, {"{}": resources.gpu})
    else:
        found += flags.no_gpu
    if resources.mem:
        found += _filled(flags.mem, {"{}": resources.mem})
    if resources.num_threads:
        found += _filled(flags.num_threads, {"{}": resources.num_threads})
    if resources.max_time:
        limit = resources.max_time + SPARE_SECONDS
        values = {"{seconds}": limit, "{minutes}": -(-limit // 60)}
        found += _filled(flags.max_time, values)
    return found


def _filled(templates: list[str], values: Mapping[str, object]) -> list[str]:
    found = []
    for text in templates:
        for mark, value in values.items():
            text = text.replace(mark, str(value))
        found.append(text)
    return found
