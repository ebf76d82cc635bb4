"""`chainstitch run`: one calling convention for jobs, whatever runs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.queue import grammar, local

SHOWN_LINES = 5
SHOWN_LOGS = 3


def run(
    context: typer.Context,
    arguments: Annotated[list[str], typer.Argument(metavar="[JOB=1:N] LOG COMMAND...")],
    backend: Annotated[str, typer.Option(help="local (slurm and sge are to come).")] = "local",
    gpu: Annotated[int, typer.Option(min=0, help="GPUs for each job.")] = 0,
    mem: Annotated[str | None, typer.Option(help="Memory for each job; local: no limit.")] = None,
    num_threads: Annotated[int | None, typer.Option(min=1, help="Threads for each job.")] = None,
    max_jobs_run: Annotated[int | None, typer.Option(min=1, help="Most jobs at a time.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Show a single job's output.")] = False,
) -> None:
    """Runs a command, or N numbered copies of it, with all output in log files.

    Options may stand before or after JOB=1:N. The text JOB is replaced by the job's number in LOG
    and in the command. The command runs without a shell. The exit code is 1 if any job failed.

    Example:
    chainstitch run JOB=1:8 exp/log/part.JOB.log local/work.py --part JOB
    """
    job_range = None
    if grammar.is_range(arguments[0]):
        job_range, *arguments = arguments
        if arguments and arguments[0].startswith("-"):
            given = {key: value for key, value in context.params.items() if key != "arguments"}
            again = context.command.make_context(
                context.info_name, arguments, context.parent, default_map=given
            )
            values = {"num_threads": num_threads, "max_jobs_run": max_jobs_run, **again.params}
            arguments, backend, gpu = values["arguments"], values["backend"], values["gpu"]
            mem, follow = values["mem"], values["follow"]
            num_threads, max_jobs_run = values["num_threads"], values["max_jobs_run"]
    if backend in ("slurm", "sge"):
        raise UsageError(f"back end {backend!r} is not built yet; use --backend local")
    if backend != "local":
        raise UsageError(f"unknown back end {backend!r}; use --backend local")
    jobs = grammar.expand(job_range, arguments)
    if follow and len(jobs) > 1:
        raise UsageError(f"--follow shows one job's output, found {len(jobs)} jobs; leave it out")
    codes = local.run(
        jobs, grammar.Resources(gpu, mem, num_threads, max_jobs_run), _show if follow else None
    )
    failed = [(job, code) for job, code in zip(jobs, codes, strict=True) if code]
    if not failed:
        return
    lines = Path(failed[0][0].log).read_text(encoding="utf-8", errors="replace").splitlines()
    output = [line for line in lines if not line.startswith("# ") and line != "#"]
    for line in output[-SHOWN_LINES:]:
        print(line, file=sys.stderr)
    found = f"{len(failed)} of {len(jobs)} jobs" if len(jobs) > 1 else "the job"
    logs = " ".join(job.log for job, _ in failed[:SHOWN_LOGS])
    more = f" and {len(failed) - SHOWN_LOGS} more" if len(failed) > SHOWN_LOGS else ""
    code = failed[0][1]
    raise UserError(f"{found} failed (exit code {code}); log: {logs}{more}")


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
