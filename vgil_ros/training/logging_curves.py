"""`curves.png`: loss, learning rate and speed over steps."""

from __future__ import annotations

from pathlib import Path

from vgil_ros.training.logging_jsonl import Record

# what has a scale of its own, or a panel
SKIPPED = {"kind", "step", "epoch", "seconds", "grad_norm", "lr", "lr_backbone", "samples_per_s", "data_wait", "return"}


def draw_curves(records: list[Record], path: Path) -> bool:
    """Draw a log's records; False where matplotlib is not installed."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    loss, parts, rate, speed = figure.subplots(2, 2).flat
    for axes, kinds, keys, title in (
        (loss, ("train", "validation"), {"loss"}, "loss"),
        (parts, ("train", "validation", "rollouts"), _parts(records), "its parts, and success of rollouts"),
        (rate, ("train",), {"lr", "lr_backbone"}, "learning rate"),
        (speed, ("train",), {"samples_per_s"}, "samples a second"),
    ):
        for kind in kinds:
            for key in sorted(keys):
                points = [(r["step"], r[key]) for r in records if r["kind"] == kind and r.get(key) is not None]
                if points:
                    axes.plot(*zip(*points, strict=True), label=f"{kind} {key}", marker="." if kind != "train" else "")
        axes.set_title(title)
        axes.set_xlabel("step")
        if axes.lines:
            axes.legend(fontsize="small")
        if axes is loss and axes.lines:
            axes.set_yscale("log")
    part = path.with_suffix(".part.png")
    figure.savefig(part, dpi=90)
    part.replace(path)
    return True


def _parts(records: list[Record]) -> set[str]:
    return {key for record in records for key in record} - SKIPPED - {"loss"}
