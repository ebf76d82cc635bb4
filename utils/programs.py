"""Which optional programs and packages this machine has, with versions; nothing is required."""

from __future__ import annotations

import importlib
import shutil
import subprocess

from chainstitch.utils.log import package_version

PROGRAMS = {  # name -> the command that prints its version (None: finding it must do)
    "sclite": None,
    "sctk": None,
    "sbatch (Slurm)": ["sbatch", "--version"],
    "qsub (Grid Engine)": ["qsub", "-help"],
    "lattice-best-path (Kaldi)": None,
    "nvidia-smi": ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"],
}
MODULES = ("triton", "k2", "espeakng_loader")


def programs() -> dict[str, str | None]:
    """Program -> the first line that it says of its version, or its path; None without it."""
    return {name: _program(name.split()[0], command) for name, command in PROGRAMS.items()}


def modules() -> dict[str, str | None]:
    """Optional package -> version, None when it is absent, or why it cannot be imported."""
    return {name: _module(name) for name in MODULES}


def _program(name: str, command: list[str] | None) -> str | None:
    place = shutil.which(name)
    if place is None or command is None:
        return place
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return place
    said = (done.stdout + done.stderr).strip().splitlines()
    return said[0].strip() if said else place


def _module(name: str) -> str | None:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        return None if error.name == name else f"cannot be imported: {error}"
    except (ImportError, OSError) as error:  # k2 built for another torch, say
        return f"cannot be imported: {' '.join(str(error).split())}"
    # k2 keeps its version to its package's record
    return str(getattr(module, "__version__", package_version(name) or "present"))
