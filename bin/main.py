"""The `chainstitch` command: its subcommands, and how a failure looks at the terminal.

A failure is one line on stderr, `chainstitch COMMAND: error: ...`, and an exit code: 2 for a
command line or config that cannot be, 1 for a job that went wrong, 130 for an interrupt, 143 for
SIGTERM. Anything that is not a `UserError` or an `OSError` is a bug and keeps its traceback;
CHAINSTITCH_TRACEBACK=1 keeps it for all.

Heavy imports are made inside the commands, so that `chainstitch --help` answers at once.
"""

from __future__ import annotations

import difflib
import errno
import functools
import importlib
import inspect
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from chainstitch.utils import log
from chainstitch.utils.errors import UsageError, UserError
from chainstitch.utils.stop_signals import Ended, Stopped, ignore_signals, orderly_end
from chainstitch.utils.terminal import (
    OUTPUT,
    check_surroundings,
    discard_output,
    open_closed_streams,
    say,
)

NAMES = (
    *("prepare", "data", "validate", "features", "ivectors", "lm", "lang", "lang-probs", "tree"),
    *("den-graph", "train", "train-job", "combine", "classify", "align", "cleanup", "decode"),
    *("rescore", "transcribe", "score", "score-ali", "compare", "plot", "export", "run", "doctor"),
    "info",
)
COMMANDS = {
    name: getattr(importlib.import_module(f"chainstitch.bin.{module}"), module)
    for name, module in [(name, name.replace("-", "_")) for name in NAMES]
}

MAX_LETTERS = 2000  # of a message
HINTS = {
    errno.ENOSPC: "; free some space there and run it again",
    errno.EDQUOT: "; free some of your disk quota and run it again",
    errno.EACCES: "; check who may read and write there",
}


def _help(function: Any) -> str:
    """The docstring, with the lines of its example kept as they are (`\\b` is Typer's mark)."""
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    for n, paragraph in enumerate(paragraphs):
        if re.match(r"Examples?:", paragraph):
            title, *lines = paragraph.splitlines()
            paragraphs[n] = "\n".join(["\b", title] + ["  " + line.strip() for line in lines])
    return "\n\n".join(paragraphs)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"chainstitch {log.package_version('chainstitch')}")
        raise typer.Exit


class Command(typer.core.TyperCommand):
    """A command whose help shows options of one `rich_help_panel` together, under its title."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Arguments and options without a panel come first."""
        titles: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = parameter.param_type_name.title() + "s"
                panel = getattr(parameter, "rich_help_panel", None) or kind
                titles.setdefault(panel, []).append(record)
        for title, records in titles.items():
            if not records:
                continue
            with formatter.section(title):
                formatter.write_dl(records)


class _Subcommands(TyperGroup):
    """The subcommands of a command; a name that is none of them gets the list of those there are.

    Attributes:
        kind: what a subcommand is called in messages.
    """

    kind = "subcommand"

    def parse_args(self, context: Any, arguments: list[str]) -> list[str]:
        if not arguments:
            raise UsageError(f"wanted a {self.kind}: {', '.join(self.commands)}")
        return super().parse_args(context, arguments)

    def resolve_command(self, context: Any, arguments: list[str]) -> Any:
        found = arguments[0]
        if found not in self.commands and not found.startswith("-"):
            near = difflib.get_close_matches(found, self.commands, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(
                f"unknown {self.kind} {found!r}; {hint}known: {', '.join(self.commands)}"
            )
        return super().resolve_command(context, arguments)


def _top(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    """LF-MMI chain models, natural gradient and backstitch, from Kaldi-style recipes.

    Every command explains itself: chainstitch COMMAND --help.
    """
    check_surroundings()
    log.setup()


@functools.cache
def _program(only: str = "") -> Any:
    """The program, of all commands or of one: Typer takes 50 ms to make all, 5 for one."""
    made = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    made.callback()(_top)
    for name in [only] if only else COMMANDS:
        _add(made, name)
    return typer.main.get_command(made)


def _add(program: typer.Typer, name: str) -> None:
    """Adds a command, or a group of subcommands."""
    function = COMMANDS[name]
    module = sys.modules[function.__module__]
    parts = getattr(module, "SUBCOMMANDS", None)
    if parts is None:
        of, settings = getattr(module, "COMMAND", Command), getattr(module, "SETTINGS", None)
        program.command(name, cls=of, help=_help(function), context_settings=settings)(function)
        return
    kind = getattr(module, "KIND", _Subcommands.kind)
    of = type("_Subcommands", (_Subcommands,), {"kind": kind})
    group = typer.Typer(cls=of, rich_markup_mode=None)
    for part, does in parts.items():
        group.command(part, cls=Command, help=_help(does))(does)
    program.add_typer(group, name=name, help=_help(function))


def cli(arguments: list[str], name: str, **options: Any) -> Any:
    """Calls the command that the first argument names."""
    only = arguments[0] if arguments[0] in COMMANDS else ""
    return _program(only)(arguments, name, **options)


def app(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line (without the program's name) and exits with its code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    name = " ".join(["chainstitch", *[a for a in arguments[:1] if a in COMMANDS]])
    keep_traceback = os.environ.get("CHAINSTITCH_TRACEBACK", "") not in ("", "0")
    code, message = 1, ""
    open_closed_streams()
    try:
        _prepare_text(arguments, name)
        with orderly_end():
            code = cli(arguments, "chainstitch", standalone_mode=False, obj=arguments) or 0
            sys.stdout.flush()
    except typer.TyperException as error:  # a bad command line
        code = getattr(error, "exit_code", 2)
        text = error.format_message() if hasattr(error, "format_message") else str(error)
        message = f"{text.rstrip('.')}; see {_explained(arguments)} --help"
    except UserError as error:
        if keep_traceback:
            raise
        if isinstance(error, Stopped):
            ignore_signals()
        code, message = error.exit_code, str(error)
    except BrokenPipeError:  # whoever read our output has seen enough
        discard_output()
    except OSError as error:
        if keep_traceback:
            raise
        code, message = 1, _os_error(error)
        if error.filename == OUTPUT:
            discard_output()
    except (KeyboardInterrupt, typer.Abort):
        code = 130
    except Ended as error:
        ignore_signals()
        code, message = error.exit_code, str(error)
    if code == 130:
        message = "interrupted"
    if message:
        say(f"{name}: error: {_one_line(message)}")
    sys.exit(code)


def _prepare_text(arguments: Sequence[str], name: str) -> None:
    """That whatever is printed can be, and whatever is stored (paths, above all) is UTF-8.

    A job of `run` may have arguments of any bytes: they are only handed on.

    Raises:
        UsageError: an argument that is not UTF-8.
    """
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    for argument in arguments:
        if not argument.isascii() and name != "chainstitch run":
            shown = os.fsencode(argument).decode(errors="backslashreplace")
            if shown != argument:
                raise UsageError(f"{shown} is not UTF-8; rename the file or directory")


def _explained(arguments: Sequence[str]) -> str:
    """The command, and the subcommand if there is one, that a command line asks for."""
    words = ["chainstitch", *[a for a in arguments[:1] if a in COMMANDS]]
    if len(words) > 1:
        module = sys.modules[COMMANDS[words[1]].__module__]
        words += [a for a in arguments[1:2] if a in getattr(module, "SUBCOMMANDS", ())]
    return " ".join(words)


def _one_line(message: str) -> str:
    words = " ".join(message.split())
    half = MAX_LETTERS // 2
    return words if len(words) <= MAX_LETTERS else f"{words[:half]} ... {words[-half:]}"


def _os_error(error: OSError) -> str:
    if error.strerror is None:
        return str(error)
    files = [
        os.fsdecode(f) for f in (error.filename, error.filename2) if isinstance(f, str | bytes)
    ]
    where = f": {' -> '.join(files)}" if files else ""
    return error.strerror + where + HINTS.get(error.errno or 0, "")


if __name__ == "__main__":
    app()
