"""Every command explains itself, `--help` is quick, and failures look alike."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from chainstitch.bin.main import COMMANDS, NAMES, app
from chainstitch.utils.errors import UserError

HEAVY = ("torch", "lhotse", "numpy", "numba", "kaldifst", "matplotlib", "rich")


def chainstitch(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chainstitch.bin.main", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


def call(*arguments: str) -> int:
    """Runs the program in this process and returns its exit code."""
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def subcommands(name: str) -> list[str]:
    """Of a command; empty for most."""
    return list(getattr(sys.modules[COMMANDS[name].__module__], "SUBCOMMANDS", ()))


def test_every_command_of_bin_is_registered(repository: Path) -> None:
    on_disk = {path.stem for path in (repository / "bin").glob("*.py")} - {"__init__", "main"}
    assert {name.replace("-", "_") for name in COMMANDS} == on_disk
    assert list(COMMANDS) == [name for name in NAMES if name in COMMANDS]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(name, "--help") == 0
    shown = capsys.readouterr().out
    assert "Example" in shown
    assert f"chainstitch {name}" in shown.split("Example")[1]


@pytest.mark.parametrize(
    ("name", "part"),
    [(name, part) for name in COMMANDS for part in subcommands(name)],
)
def test_help_of_a_subcommand_has_an_example(
    name: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(name, part, "--help") == 0
    assert f"chainstitch {name} {part}" in capsys.readouterr().out.split("Example")[1]
    assert call(name, part, "--no-such-option") == 2
    assert f"see chainstitch {name} {part} --help" in capsys.readouterr().err


def test_help_lists_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom chainstitch.bin.main import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert [name for name in NAMES if f"\n  {name} " in done.stdout] == list(COMMANDS)


def test_no_arguments_show_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert "Usage: chainstitch" in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_unknown_option_is_one_line_and_exit_2(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(name, "--no-such-option") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"chainstitch {name}: error: ")
    assert error.count("\n") == 1


def test_unknown_command_names_a_near_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("dector") == 2
    assert "doctor" in capsys.readouterr().err


def test_user_error_is_one_line_and_exit_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = chainstitch("run", "/dev/null", "false")
    assert Path("/dev/null").is_char_device()
    assert done.returncode == 1
    assert done.stderr == "chainstitch run: error: the job failed (exit code 1); log: /dev/null\n"


def test_message_of_several_lines_becomes_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise UserError("bad\n  thing")

    monkeypatch.setattr("chainstitch.bin.main.cli", fail)
    assert call("run") == 1
    assert capsys.readouterr().err == "chainstitch run: error: bad thing\n"


def test_usage_error_is_exit_2() -> None:
    done = chainstitch("info", "/no/such/place")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "/no/such/place is not a directory" in done.stderr


def test_traceback_on_request() -> None:
    done = chainstitch("info", "/no/such/place", CHAINSTITCH_TRACEBACK="1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = chainstitch("run", "/dev/full", "true")
    assert Path("/dev/full").is_char_device() and not Path("/dev/q").exists()
    assert done.returncode == 1
    assert done.stderr.startswith("chainstitch run: error: No space left on device")
    assert done.stderr.count("\n") == 1


def test_what_the_system_refuses_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("a file")
    done = chainstitch("run", str(tmp_path / "log" / "a.log"), "true")
    assert done.returncode == 1
    assert done.stderr == f"chainstitch run: error: File exists: {tmp_path / 'log'}\n"


def test_interrupt_is_exit_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("chainstitch.bin.main.cli", interrupt)
    assert call("run") == 130
    assert capsys.readouterr().err == "chainstitch run: error: interrupted\n"


def test_bugs_keep_their_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("chainstitch.bin.main.cli", bug)
    with pytest.raises(KeyError):
        app(["run"])


def test_reader_that_leaves_early_is_no_error() -> None:
    command = 'set -o pipefail; "$0" -m chainstitch.bin.main --help | true'
    done = subprocess.run(["bash", "-c", command, sys.executable], capture_output=True, text=True)
    assert done.stderr == ""
