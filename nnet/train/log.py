"""What is kept of an iteration, its figures in train.jsonl, and the line that a person reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def figures(sums: Mapping[str, float]) -> dict[str, Any]:
    """Per frame (or image), of what the minibatches of an iteration added up to."""
    frames = sums["frames"]
    return {
        "train_objf": sums["objf"] / frames,
        "step2_objf": sums["step2_objf"] / sums["step2_frames"] if sums["step2_frames"] else None,
        "num_log_z": sums["num"] / frames,
        "den_log_z": sums["den"] / frames,
        "output_l2": sums["l2"] / frames,
        "out_of_range": sums["out_of_range"] / frames,
        "xent": sums["xent"] / frames,
        "frames": int(sums["frames"]),
        "log_domain": int(sums["log_domain"]),
        "accuracy": sums["right"] / frames if "right" in sums else None,
        "nonfinite": int(sums["nonfinite"]),
    }


def line(row: dict[str, Any], total: int) -> str:
    """What a person reads per iteration."""
    change = row["max_change"]
    step2 = "" if row["step2_objf"] is None else f" (step 2 {row['step2_objf']:.4f})"
    skipped = f", {change['skipped']} updates SKIPPED" if change["skipped"] else ""
    skipped += f", {row['nonfinite']} minibatches NOT FINITE" if row["nonfinite"] else ""
    proportions = [f"{p:.2f}" for p in sorted(row["dropout"].values())]
    dropout = "-".join(dict.fromkeys(proportions[:1] + proportions[-1:]))
    dropout = f" dropout {dropout}" if dropout else ""
    shrink = "" if row["shrink"] == 1.0 else f" shrink {row['shrink']:.4f}"
    return (
        f"iter {row['iter'] + 1}/{total} epoch {row['epoch']:.2f} lr {row['lr']:.2e} "
        f"alpha {row['alpha']:.2f}{dropout}{shrink} objf/{row['unit']} "
        f"train {row['train_objf']:.4f}{step2} valid {row['valid_objf']:.4f} "
        f"max-change {change['per_layer']:.0%} layer {change['global']:.0%} global "
        f"(least {change['smallest']:.2f}){skipped}, "
        f"{row['seconds']:.1f} s"
    )
