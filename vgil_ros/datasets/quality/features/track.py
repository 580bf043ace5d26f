"""How the columns of qpos or action move in one episode: their path, range, sudden steps, and plateaus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.episodes.checks.findings import spans

MOMENTS = 64  # of the path that is kept
AT_LIMIT = 2e-3  # of the travel between limits
EXACT = 1e-6
CORNER = 0.25  # of a column's fast steps: so fast it still was in the row before a plateau
FAST = 95  # percentile of steps


@dataclass(frozen=True)
class Plateau:
    """Rows in which a column stays at one value, as a joint does at its limit.

    Attributes:
        column: of qpos or action. first, last: rows, both included.
        value: where it stays. at_limit: of the contract; else only a straight cut shows.
    """

    column: int
    first: int
    last: int
    value: float
    at_limit: bool

    @property
    def rows(self) -> int:
        """How many."""
        return self.last - self.first + 1


@dataclass(frozen=True, eq=False)
class Track:
    """One stream of D columns.

    Attributes:
        path: (MOMENTS, D) float32, at even moments from first row to last.
        low, high: (D,) range.
        surprise: (D,) the largest difference between a step and the mean of the steps around it.
        surprise_row: (D,) the row after that step.
        plateaus: of columns that are no grippers.
    """

    path: np.ndarray
    low: np.ndarray
    high: np.ndarray
    surprise: np.ndarray
    surprise_row: np.ndarray
    plateaus: tuple[Plateau, ...]


def track_of(
    values: np.ndarray,
    rows: np.ndarray,
    limits: tuple[np.ndarray, np.ndarray] | None,
    least_rows: int,
    without: Sequence[int] = (),
) -> Track:
    """Follow the columns of a stream.

    Args:
        values: (T, D), finite.
        rows: (T,) their numbers in the episode.
        limits: (lower, upper) of the contract, (D,) each, or None.
        least_rows: of a plateau.
        without: columns whose plateaus mean nothing: grippers.
    """
    values = values.astype(np.float64)
    moments = np.linspace(0, len(values) - 1, MOMENTS)
    at = np.arange(len(values))
    path = np.stack([np.interp(moments, at, column) for column in values.T], axis=1).astype(np.float32)
    surprise, place = _surprise(values)
    plateaus = [
        Plateau(i, int(rows[first]), int(rows[last]), float(values[first, i]), limits is not None)
        for i in range(values.shape[1])
        if i not in without
        for first, last in _plateaus(values[:, i], None if limits is None else (limits[0][i], limits[1][i]))
        if last - first + 1 >= least_rows
    ]
    return Track(path, values.min(axis=0), values.max(axis=0), surprise, rows[place], tuple(plateaus))


def _surprise(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(D,) of each column the step that its neighbours explain least, and the row after it."""
    if len(values) < 4:
        zeros = np.zeros(values.shape[1])
        return zeros, zeros.astype(int)
    steps = np.diff(values, axis=0)
    off = np.abs(steps[1:-1] - 0.5 * (steps[:-2] + steps[2:]))
    place = off.argmax(axis=0)
    return off.max(axis=0), place + 2


def _plateaus(values: np.ndarray, limits: tuple[float, float] | None) -> Iterator[tuple[int, int]]:
    """Runs (first, last) at a limit; without limits those at the column's own extremes that begin as if cut off."""
    if limits is not None:
        slack = AT_LIMIT * (limits[1] - limits[0])
        yield from spans(np.flatnonzero(values >= limits[1] - slack))
        yield from spans(np.flatnonzero(values <= limits[0] + slack))
        return
    steps = np.abs(np.diff(values))
    if not len(steps) or steps.max() <= EXACT:
        return
    corner = CORNER * float(np.percentile(steps, FAST))
    for extreme in (values.max(), values.min()):
        for first, last in spans(np.flatnonzero(np.abs(values - extreme) <= EXACT)):
            before = steps[first - 1] if first > 0 else 0.0
            after = steps[last] if last < len(steps) else 0.0
            # the step onto the extreme is cut short as well: the one before it still has its full size
            before = max(before, steps[first - 2] if first > 1 else 0.0)
            after = max(after, steps[last + 1] if last + 1 < len(steps) else 0.0)
            if max(before, after) > max(corner, EXACT):
                yield first, last
