"""`chainstitch doctor`: what this installation can do, and a self-test of one second."""

from __future__ import annotations

from chainstitch.utils.errors import UserError

LOG_Z = 1.53250160  # of the graph below at leaky 0.1, enumerated path by path in float64
LOG_Z_WITHOUT_LEAK = 0.94361822  # of the same at leaky 0
TOLERANCE = 1e-4  # float32


def doctor() -> None:
    """Report versions, hardware and optional programs, and test LF-MMI on a small graph.

    Example: chainstitch doctor
    """
    import torch

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
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        found_z = _self_test(device)
        error = abs(found_z - LOG_Z)
        if not error < TOLERANCE:
            raise UserError(
                f"self-test on {device} failed: log Z is {found_z:.8f}, wanted {LOG_Z:.8f}; "
                "report it with the versions above"
            )
        print(f"self-test on {device}: LF-MMI forward-backward is right to {error:.0e}")
    if optional["k2"]:
        print(f"self-test of k2: {_k2_self_test()}")


def _k2_self_test() -> str:
    """What came of it; k2 is optional, so that nothing is raised."""
    try:
        error = abs(_self_test("cpu", "k2", 0.0) - LOG_Z_WITHOUT_LEAK)
    except Exception as failure:  # of a compiled module: anything
        said = " ".join(str(failure).split())
        return f"not usable: {said if isinstance(failure, UserError) else f'it fails ({said})'}"
    if not error < TOLERANCE:
        return f"NOT USABLE: log Z is off by {error:.0e}; do not use backend 'k2'"
    return f"LF-MMI forward-backward is right to {error:.0e}"


def _self_test(device: str, backend: str = "auto", leaky: float = 0.1) -> float:
    """log Z of five frames on a graph of three states."""
    import torch

    from chainstitch.nnet.chain import DenominatorGraph, forward_backward

    graph = DenominatorGraph.from_arcs(
        src=torch.tensor([0, 0, 1, 1, 1, 2, 2]),
        dst=torch.tensor([1, 2, 1, 2, 0, 2, 0]),
        pdf=torch.tensor([0, 1, 1, 2, 0, 3, 2]),
        prob=torch.tensor([0.6, 0.4, 0.5, 0.3, 0.2, 0.4, 0.6]),
    )
    t, k = torch.meshgrid(torch.arange(5.0), torch.arange(4.0), indexing="ij")
    y = torch.sin(1 + 0.9 * t + 1.7 * k + 0.3 * t * k)  # (frames, pdfs)
    log_z, _ = forward_backward(graph, y[None].to(device), torch.tensor([5]), leaky, backend)
    return float(log_z[0])
