"""`chainstitch doctor`: the report names everything once, and a wrong log Z is a failure."""

from __future__ import annotations

import pytest

from chainstitch.bin import doctor
from chainstitch.utils import log, programs
from chainstitch.utils.errors import UserError


def test_report_and_self_test(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.doctor()
    shown = capsys.readouterr().out
    for name in (*log.PACKAGES, "cpu", "gpu", "triton", "k2", "sclite", "sbatch (Slurm)"):
        assert f"\n{name} " in "\n" + shown
    assert "self-test on cpu: LF-MMI forward-backward is right" in shown


@pytest.mark.parametrize("wrong", [1.5, float("nan")])
def test_wrong_result_is_a_failure(monkeypatch: pytest.MonkeyPatch, wrong: float) -> None:
    monkeypatch.setattr(doctor, "_self_test", lambda device: wrong)
    with pytest.raises(UserError, match="self-test on cpu failed"):
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
