"""`chainstitch run`: one calling convention for jobs, whatever runs them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.queue import backends, grammar, site, status

SHOWN_LINES = 5
SHOWN_BYTES = 1 << 16
SHOWN_LOGS = 3


class OptionsAround(TyperCommand):
    """A command whose options stand before or after JOB=1:N, and end with what follows both."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        options, rest = self._split(ctx, args)
        if len(rest) > 1 and grammar.is_range(rest[0]) and rest[1].startswith("-"):
            more, last = self._split(ctx, rest[1:])
            return super().parse_args(ctx, [*options, *more, rest[0], *last])
        return super().parse_args(ctx, args)

    def _split(self, ctx: Any, args: list[str]) -> tuple[list[str], list[str]]:
        found, _, _ = self.make_parser(ctx).parse_args(list(args))
        rest = list(found.get("arguments") or ())
        return args[: len(args) - len(rest)], rest


COMMAND = OptionsAround
SETTINGS = {
    "allow_interspersed_args": False,  # the options after LOG belong to the command that it runs
    "token_normalize_func": lambda name: name.replace("_", "-"),  # --num_threads, too
}


def run(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB=1:N] LOG COMMAND...", show_default=False)
    ] = None,
    backend: Annotated[str, typer.Option(help=f"One of {', '.join(backends.NAMES)}.")] = "local",
    gpu: Annotated[int, typer.Option(min=0, max=10000, help="GPUs for each job.")] = 0,
    mem: Annotated[str | None, typer.Option(help="Memory for each job; local: no limit.")] = None,
    num_threads: Annotated[
        int | None, typer.Option(min=1, max=100000, help="Threads for each job.")
    ] = None,
    max_jobs_run: Annotated[
        int | None, typer.Option(min=1, max=10**9, help="Most jobs at a time.")
    ] = None,
    max_time: Annotated[str | None, typer.Option(help="For each job: 30m, 4h, 1:30:00.")] = None,
    max_requeues: Annotated[
        int,
        typer.Option(min=0, max=10**9, help="How often a job that exits with 144 starts again."),
    ] = 20,
    config: Annotated[
        Path | None, typer.Option(help="What options mean here; default: conf/queue.toml, if any.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show a single job's output.")] = False,
    status_: Annotated[
        bool, typer.Option("--status", help="Show the jobs below a directory, or below exp.")
    ] = False,
) -> None:
    """Runs a command, or N numbered copies of it, with all output in log files.

    Options may stand before or after JOB=1:N. The text JOB is replaced by the job's number in LOG
    and in the command. The command runs without a shell. The exit code is 1 if any job failed.

    Example:
    chainstitch run JOB=1:8 exp/log/part.JOB.log local/work.py --part JOB
    chainstitch run --backend slurm --mem 4G --gpu 1 exp/log/train.log chainstitch train ...
    chainstitch run --status exp
    """
    if status_:
        _show_status(arguments or [])
        return
    if backend not in backends.NAMES:
        wanted = ", ".join(backends.NAMES)
        raise UsageError(f"unknown back end {backend!r}; --backend wants one of {wanted}")
    jobs = grammar.parse(arguments or [])
    if follow and len(jobs.numbers) > 1:
        raise UsageError(
            f"--follow shows one job's output, found {len(jobs.numbers)}; leave it out"
        )
    resources = grammar.Resources(
        gpu,
        grammar.check_memory(mem) if mem else None,
        num_threads,
        max_jobs_run,
        grammar.seconds(max_time) if max_time else None,
        max_requeues,
    )
    settings = site.load(config)
    ended = backends.run(backend, jobs, resources, settings, _show if follow else None)
    failed = [number for number in jobs.numbers if ended[number].code != 0]
    if not failed:
        return
    logs = [jobs.job(number).log for number in failed]
    for line in _last_lines(Path(logs[0])):
        print(line, file=sys.stderr)
    found = f"{len(failed)} of {len(jobs.numbers)} jobs" if len(jobs.numbers) > 1 else "the job"
    more = f" and {len(failed) - SHOWN_LOGS} more" if len(failed) > SHOWN_LOGS else ""
    raise UserError(
        f"{found} failed ({ended[failed[0]]}); log: {' '.join(logs[:SHOWN_LOGS])}{more}"
    )


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _show_status(places: list[str]) -> None:
    for place in places or ["exp" if Path("exp").is_dir() else "."]:
        if not Path(place).is_dir():
            raise UsageError(f"{place} is not a directory; --status wants one, e.g. exp")
        batches = status.find(Path(place))
        print(*status.table(batches) if batches else [f"no jobs below {place}"], sep="\n")


def _last_lines(log: Path) -> list[str]:
    """Of the job's own output."""
    if not log.is_file():  # of a job that never began, or a device
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - SHOWN_BYTES))
        lines = stream.read(SHOWN_BYTES).decode("utf-8", errors="replace").splitlines()
    return [line for line in lines if not line.startswith("# ") and line != "#"][-SHOWN_LINES:]
