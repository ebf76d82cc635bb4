"""`chainstitch doctor`: the report names everything once, and a wrong log Z is a failure."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from chainstitch.bin import doctor
from chainstitch.nnet.chain import self_test
from chainstitch.utils import log, programs
from chainstitch.utils.errors import UserError
from tests.k2.needed import needs_k2


def test_report_and_self_test(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.doctor()
    shown = capsys.readouterr().out
    for name in (*log.PACKAGES, "cpu", "gpu", "triton", "k2", "sclite", "sbatch (Slurm)"):
        assert f"\n{name} " in "\n" + shown
    assert "self-test of cpu: LF-MMI forward-backward is right" in shown


@pytest.mark.parametrize("error", [0.01, float("nan")])
def test_wrong_result_is_a_failure(monkeypatch: pytest.MonkeyPatch, error: float) -> None:
    monkeypatch.setattr(self_test, "self_test", lambda *arguments: error)
    with pytest.raises(UserError, match="self-test failed"):
        doctor.doctor()


def test_environment_holds_plain_values_and_no_host_name() -> None:
    import json
    import socket

    environment = log.environment()
    text = json.dumps(environment)
    assert environment["cores"] >= 1
    assert environment["threads"] >= 1
    assert socket.gethostname() not in text or len(socket.gethostname()) < 4


def test_package_that_does_not_load_is_reported_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(name: str) -> None:
        raise ImportError("built for\nanother torch")

    monkeypatch.setattr(programs.importlib, "import_module", load)
    assert programs.modules()["k2"] == "cannot be imported: built for another torch"


@needs_k2
def test_a_k2_that_works_is_said_to() -> None:
    assert programs.modules()["k2"] == log.package_version("k2") is not None
    assert doctor._self_test_of("k2", "cpu", 0.0).startswith("LF-MMI forward-backward is right to")


def test_the_report_says_nothing_of_testing_a_k2_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "k2", None)
    doctor.doctor()
    shown = capsys.readouterr().out
    assert re.search(r"^k2 +not found$", shown, re.MULTILINE)
    assert "self-test of k2" not in shown


@pytest.mark.parametrize(
    ("source", "found", "said"),
    [
        ("raise ImportError('undefined symbol: _ZN3c10')",
         "cannot be imported: undefined symbol: _ZN3c10",
         "not usable: k2 is installed but cannot be imported (undefined symbol: _ZN3c10)"),
        ("raise OSError('libcudart.so.9: cannot open shared object file')",
         "cannot be imported: libcudart.so.9: cannot open shared object file",
         "not usable: k2 is installed but cannot be imported (libcudart.so.9"),
        ("__version__ = '0.1'\nwith_cuda = False", "0.1", "not usable: it fails (module 'k2' has"),
    ],
)  # fmt: skip
def test_a_broken_k2_on_the_path_is_reported_with_its_reason_and_harms_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    found: str,
    said: str,
) -> None:
    (tmp_path / "k2.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    doctor.doctor()
    monkeypatch.delitem(sys.modules, "k2", raising=False)
    shown = capsys.readouterr().out
    assert re.search(rf"^k2 +{re.escape(found)}$", shown, re.MULTILINE), shown
    assert f"self-test of k2: {said}" in shown


def test_a_k2_that_is_wrong_is_not_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "self_test", lambda *arguments, **more: 0.5)
    assert doctor._self_test_of("k2", "cpu", 0.0).startswith("NOT USABLE: it is off by 5e-01")
