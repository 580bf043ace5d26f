"""Spread: a column that has one value in the whole set, or stands still in an episode and moves in all others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Moved
from vgil_ros.datasets.quality.features.track import Track
from vgil_ros.episodes.checks.findings import Finding

NONE = 1e-5  # range of a column that has one value
STILL, TRAVEL = 0.02, 0.05  # of the others' usual range; the range, rad, below which a joint is not used
FEW = 0.2  # of the episodes: if it stands still in more of them, it may


def check(data: DataSet) -> Iterator[Found]:
    """Name columns of `qpos` and `action` without spread, which no normaliser can scale."""
    for group, stream, tracks in data.columns():
        yield from _stream(group, stream, tracks)


def _stream(group: Sequence[Moved], stream: str, tracks: Sequence[Track]) -> Iterator[Found]:
    one = group[0][0]
    low, high = np.min([t.low for t in tracks], axis=0), np.max([t.high for t in tracks], axis=0)
    for i in np.flatnonzero(high - low <= NONE).tolist():
        message = f"{stream} is {low[i]:.3g} in all rows in all episodes: nothing to scale by"
        advice = "leave the joint out of the contract, or mend its sensor; a policy learns nothing of it"
        yield Found(None, Finding("warning", "zero spread", one.column(i), message), advice)
    ranges = np.stack([track.high - track.low for track in tracks])
    usual = np.median(ranges, axis=0)
    still = (ranges <= STILL * usual) & (usual > TRAVEL)
    still[:, still.mean(axis=0) > FEW] = False
    for (episode, _), columns, own in zip(group, still, ranges, strict=True):
        for i in np.flatnonzero(columns).tolist():
            message = f"{stream} has a range of {own[i]:.2g}; usual: about {usual[i]:.2g}"
            finding = Finding("warning", "zero spread", episode.column(i), message)
            yield Found(episode.number, finding, "look whether the motor or its encoder was on; delete the episode")
