"""`chainstitch export`: a trained model as one file that runs without chainstitch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def export(
    exp: Annotated[Path, typer.Argument(help="Experiment directory with final.pt.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    format: Annotated[
        str,
        typer.Option(help="torchscript or onnx; default: onnx for FILE.onnx, else torchscript."),
    ] = "",
    data: Annotated[
        Path | None,
        typer.Option(help="Feature directory to check the file with; default: features of noise."),
    ] = None,
    tolerance: Annotated[
        float,
        typer.Option(
            min=0.0, max=1e6, help="Allowed difference, as a share of the largest output."
        ),
    ] = 1e-4,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE.")] = False,
) -> None:
    """Write the final network as TorchScript (Python, C++) or ONNX, and check it.

    The file is called with features (batch, frames, dim), lengths (batch) and, where the network
    reads i-vectors, ivectors (batch, dim), and gives the log-likelihoods that `decode` searches
    with, of any batch and any number of frames. It holds a JSON text, chainstitch.json, on its
    inputs, outputs and features. It takes its name only after its outputs were found to be those of
    the model.

    Example: chainstitch export exp/tdnn_1a --out tdnn_1a.onnx --data data/dev_hires
    """
    from chainstitch.nnet.export.formats import export_model
    from chainstitch.utils.outputs import check_file

    check_file(out, "exported model", overwrite, [exp, data])
    kind = format or ("onnx" if out.suffix == ".onnx" else "torchscript")
    found = export_model(exp, out, kind, data, tolerance)
    print(f"{out}: {found['format']}, {found['bytes']} bytes")
    for part in ("inputs", "outputs"):
        said = [
            f"{n} {s['dtype']} ({', '.join(map(str, s['shape']))})" for n, s in found[part].items()
        ]
        print(f"  {part}: {'; '.join(said)}")
    difference, allowed = found["largest_difference"], found["allowed"]
    print(f"  checked on {found['checked_on']}")
    print(f"  largest difference {difference:.2g}, allowed {allowed:.2g}")
