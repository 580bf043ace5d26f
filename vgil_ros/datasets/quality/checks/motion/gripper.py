"""Gripper chatter: a gripper that opens and closes again and again within a second."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.episodes.checks.findings import Finding

WITHIN_S = 1.0
MANY, MORE = 4, 3  # turns within that time; more than usual


def check(data: DataSet) -> Iterator[Found]:
    """Name grippers that turn round more often than those of the other episodes."""
    for group in data.alike:
        for column in sorted({i for one, _ in group for i in one.grippers}):
            counts = [busiest(motion.turns.get(column, np.zeros(0, int)), WITHIN_S * one.rate) for one, motion in group]
            usual = float(np.median([count for count, _ in counts]))
            for (one, _), (count, rows) in zip(group, counts, strict=True):
                if count >= MANY and count >= usual + MORE:
                    message = f"turns round {count} times within a second; usual: up to {usual + MORE - 1:.0f}"
                    finding = Finding("warning", "gripper chatter", one.column(column), message, (rows,))
                    yield Found(one.number, finding, "look at the trigger or the leader's gripper; delete the episode")


def busiest(turns: np.ndarray, rows: float) -> tuple[int, tuple[int, int]]:
    """The most turns (N,) within so many rows, and the first and last of them."""
    if not len(turns):
        return 0, (0, 0)
    stop = np.searchsorted(turns, turns + rows)
    counts = stop - np.arange(len(turns))
    first = int(counts.argmax())
    return int(counts[first]), (int(turns[first]), int(turns[stop[first] - 1]))
