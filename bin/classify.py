"""`chainstitch classify`: the likeliest class of each image of a set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def classify(
    exp: Annotated[
        Path, typer.Argument(help="Directory with the final.pt of a run of task images.")
    ],
    data: Annotated[Path, typer.Option(help="Images, as `prepare` writes them.")],
    out: Annotated[Path, typer.Option(help="Directory to write, EXP/decode_<set>.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    num_threads: Annotated[
        int, typer.Option(min=0, max=4096, help="CPU threads; 0: torch's own choice.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing OUT.")
    ] = False,
) -> None:
    """Write OUT/ref, OUT/hyp (`image class` in each line) and OUT/classes.txt; `score` counts.

    Example: chainstitch classify exp/a_s0 --data data/test --out exp/a_s0/decode_test
    """
    import torch

    from chainstitch.nnet.tasks import run
    from chainstitch.nnet.tasks.image_networks import check_shape, shape_in
    from chainstitch.nnet.tasks.images import classify as likeliest
    from chainstitch.nnet.tasks.run_directory import pick_device
    from chainstitch.utils.data.images import CLASSES, read_classes, read_images
    from chainstitch.utils.errors import UserError
    from chainstitch.utils.outputs import check_directory
    from chainstitch.utils.score.classes import write_classified

    check_directory(out, "classification", overwrite, [exp, data], experiment=exp)
    device = pick_device(device)
    if num_threads:
        torch.set_num_threads(num_threads)
    network, _, facts = run.load(exp, "images", device)
    classes = read_classes(exp / CLASSES)
    images = read_images(data)
    if images.classes != classes:
        raise UserError(f"{data} has other classes than {exp} was trained on")
    check_shape(images, data, shape_in(facts, exp / "final.pt"))
    found = likeliest(network, images, device)
    write_classified(out, data.resolve().name, images.labels.tolist(), found, classes, overwrite)
    print(f"{out}: {len(images)} images classified; next: chainstitch score {out}")
