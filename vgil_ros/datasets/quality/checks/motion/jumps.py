"""Jumps: a joint that is elsewhere from one row to the next, which no motor does."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.episodes.checks.findings import Finding

TIMES, LEAST = 6.0, 0.05  # the others' largest; rad, or of a gripper's travel


def check(data: DataSet) -> Iterator[Found]:
    """Name joints and rows with a step that the steps around it do not explain, in `qpos` and in `action`."""
    for group, stream, tracks in data.columns():
        most = np.maximum(TIMES * np.median([track.surprise for track in tracks], axis=0), LEAST)
        for (one, _), track in zip(group, tracks, strict=True):
            for i in np.flatnonzero(track.surprise > most).tolist():
                row = int(track.surprise_row[i])
                message = f"{stream} jumps by {track.surprise[i]:.3g} in one row; usual: up to {most[i]:.2g}"
                finding = Finding("warning", "jump", one.column(i), message, ((row, row),))
                advice = "look for lost rows or a slipped leader; split or trim the episode there, or delete it"
                yield Found(one.number, finding, advice)
