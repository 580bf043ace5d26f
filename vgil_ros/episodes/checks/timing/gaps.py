"""Places where ticks are missing between two rows: one judgement for the check of a file and for who trains from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

MISSING = 1.5  # periods from a row to the next, from which on a tick is missing


@dataclass(frozen=True, eq=False)
class Gaps:
    """What is missing.

    Attributes:
        rows: (N,) the rows that come after a gap, ascending.
        backward: (M,) the rows that are not later than the row before.
        period: from row to row where none is missing, ns.
        missing: ticks that are missing in all.
        lost_s: the time of them.
        longest_ns: the longest step from a row to the next; 0 without a gap.
    """

    rows: np.ndarray
    backward: np.ndarray
    period: float
    missing: int
    lost_s: float
    longest_ns: int


def regular_period(stamps: np.ndarray, period_ns: float) -> float:
    """Time from row to row in ns: the mean of the steps over which no row is missing, or the stated one if longer.

    Args:
        stamps: (T,) ns.
        period_ns: as the file states it.
    """
    steps = np.diff(stamps)
    usual = max(float(period_ns), float(np.median(steps))) if len(steps) else float(period_ns)
    near = steps[(steps > 0) & (steps < MISSING * usual)]
    return max(float(period_ns), float(near.mean())) if len(near) else usual


def find_gaps(stamps: np.ndarray, period_ns: float) -> Gaps:
    """Return where ticks are missing; arguments as in `regular_period`. Another rate than the stated one is no gap."""
    steps, period = np.diff(stamps), regular_period(stamps, period_ns)
    wide = np.flatnonzero(steps > MISSING * period)
    missing = np.rint(steps[wide] / period) - 1
    return Gaps(
        rows=wide + 1,
        backward=np.flatnonzero(steps <= 0) + 1,
        period=period,
        missing=int(np.maximum(missing, 1).sum()),
        lost_s=float((steps[wide] - period).sum() / 1e9),
        longest_ns=int(steps[wide].max()) if len(wide) else 0,
    )
