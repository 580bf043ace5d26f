"""Saturation: a joint that stays at its limit, or whose motion is cut off as if it had one there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Moved
from vgil_ros.datasets.quality.features.track import Plateau, Track
from vgil_ros.datasets.quality.robust import spread_of
from vgil_ros.episodes.checks.findings import Finding

LEAST, FLOOR, FAR = 0.05, 0.02, 5.0  # shares of an episode's rows
NEAR = 0.01  # of a column's range in the whole set: a cut lies at its very end
COMMON = 0.5  # of the episodes: then it is how they are shown (waypoints), and no fault


def check(data: DataSet) -> Iterator[Found]:
    """Name joints that spend more rows at a limit than in the other episodes."""
    for group, stream, tracks in data.columns():
        yield from _stream(group, stream, tracks)


def _stream(group: Sequence[Moved], stream: str, tracks: Sequence[Track]) -> Iterator[Found]:
    low, high = np.min([t.low for t in tracks], axis=0), np.max([t.high for t in tracks], axis=0)
    kept = [[p for p in track.plateaus if _counts(p, low, high)] for track in tracks]
    for column in sorted({p.column for plateaus in kept for p in plateaus}):
        own = [[p for p in plateaus if p.column == column] for plateaus in kept]
        if np.mean([bool(plateaus) for plateaus in own]) > COMMON:
            continue
        shares = np.array([sum(p.rows for p in of) / one.rows for (one, _), of in zip(group, own, strict=True)])
        most = max(float(spread_of(shares, FLOOR).usual(FAR)[1]), LEAST)
        for (one, _), plateaus, share in zip(group, own, shares, strict=True):
            if share > most:
                where = "at its limit" if plateaus[0].at_limit else "cut off"
                message = (
                    f"{stream} is {where}, {plateaus[0].value:.3g}, in {share:.0%} of the rows; usual: up to {most:.0%}"
                )
                rows = tuple((p.first, p.last) for p in plateaus)
                finding = Finding("warning", "saturation", one.column(column), message, rows)
                yield Found(
                    one.number, finding, "move the work to where the arm reaches it; look at the limits; delete it"
                )


def _counts(plateau: Plateau, low: np.ndarray, high: np.ndarray) -> bool:
    """Whether a plateau is at a limit that is known, or at the very end of what the column does anywhere."""
    if plateau.at_limit:
        return True
    near = NEAR * (high - low)[plateau.column]
    return bool(plateau.value >= high[plateau.column] - near or plateau.value <= low[plateau.column] + near)
