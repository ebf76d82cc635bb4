"""`chainstitch doctor`: what this installation can do, and a self-test of one second."""

from __future__ import annotations

from chainstitch.utils.errors import UserError


def doctor() -> None:
    """Report versions, hardware and optional programs, and test LF-MMI on a small graph.

    Example: chainstitch doctor
    """
    import torch

    from chainstitch.nnet.chain.self_test import TOLERANCE, self_test
    from chainstitch.utils import log, programs

    report: dict[str, object] = log.environment()
    report["cuda"] = torch.version.cuda
    optional = {**programs.modules(), **programs.programs()}
    width = max(map(len, [*report, *optional]))
    for name, value in report.items():
        print(f"{name:{width}}  {'none' if value is None else value}")
    print("optional:")
    for name, found in optional.items():
        print(f"{name:{width}}  {found or 'not found'}")
    error = self_test("cpu")
    if not error < TOLERANCE:
        raise UserError(
            f"self-test failed: LF-MMI forward-backward is off by {error:.2g} on the CPU; report "
            "it with the versions above"
        )
    print(f"self-test of cpu: LF-MMI forward-backward is right to {error:.0e}")
    if torch.cuda.is_available():
        print(f"self-test of gpu: {_self_test_of('gpu', 'cuda', 0.1)}")
    if optional["k2"]:
        print(f"self-test of k2: {_self_test_of('k2', 'cpu', 0.0)}")


def _self_test_of(backend: str, device: str, leaky: float) -> str:
    """What came of it; these back ends are optional, so that nothing is raised."""
    from chainstitch.nnet.chain.self_test import TOLERANCE, self_test

    try:
        error = self_test(backend, device, leaky)
    except Exception as failure:  # of a compiled module: anything
        said = " ".join(str(failure).split())
        return f"not usable: {said if isinstance(failure, UserError) else f'it fails ({said})'}"
    if not error < TOLERANCE:
        return f"NOT USABLE: it is off by {error:.0e}; do not use backend {backend!r}"
    return f"LF-MMI forward-backward is right to {error:.0e}"
