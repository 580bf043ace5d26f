"""Idle starts and ends: rows in which nothing moves yet, or any more. A policy learns from them to wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Moved
from vgil_ros.datasets.quality.robust import spread_of
from vgil_ros.episodes.checks.findings import Finding

LONG_S, FLOOR_S = 1.0, 0.1


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes that wait longer at their start or end than the others, and data sets that wait in most."""
    for group in data.alike:
        yield from _where(group, "start", np.array([motion.idle_start / one.rate for one, motion in group]))
        yield from _where(group, "end", np.array([motion.idle_end / one.rate for one, motion in group]))


def _where(group: Sequence[Moved], where: str, seconds: np.ndarray) -> Iterator[Found]:
    spread = spread_of(seconds, FLOOR_S)
    most = max(float(spread.usual()[1]), LONG_S)
    for (one, motion), idle in zip(group, seconds, strict=True):
        if idle > most:
            rows = motion.idle_start if where == "start" else motion.idle_end
            first, last = (0, rows - 1) if where == "start" else (one.rows - rows, one.rows - 1)
            keep = f"--from {rows}" if where == "start" else f"--to {first - 1}"
            message = f"stands still for {idle:.1f} s at its {where}; usual: up to {most:.1f}"
            finding = Finding("warning", f"idle {where}", "qpos", message, ((first, last),))
            yield Found(one.number, finding, f"trim it: `vgil episodes trim FILE {keep}`")
    if spread.middle > LONG_S:
        message = f"half of the episodes stand still for {spread.middle:.1f} s or more; usual: up to {LONG_S:g}"
        finding = Finding("warning", f"idle {where}", "qpos", message)
        yield Found(
            None, finding, "trim them with `vgil episodes trim`, or begin and stop recording closer to the motion"
        )
