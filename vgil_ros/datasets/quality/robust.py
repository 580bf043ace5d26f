"""Robust statistics: how far each value lies from the middle of all, in spreads that outliers do not widen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FEWEST = 8  # values; of fewer neither middle nor spread means anything
FAR = 5.0  # spreads from the middle: for values that are spread like Gauss' once in two million
TO_SIGMA = 1.4826  # the median absolute deviation of a normal distribution times this is its standard deviation


@dataclass(frozen=True, eq=False)
class Spread:
    """Where values lie.

    Attributes:
        z: (N, ...) distance from the middle in spreads, signed; 0 where a value is NaN.
        middle, sigma: (...) median, and the spread, at least the floor.
    """

    z: np.ndarray
    middle: np.ndarray
    sigma: np.ndarray

    def usual(self, far: float = FAR) -> tuple[np.ndarray, np.ndarray]:
        """(low, high) of what is not far from the middle."""
        return self.middle - far * self.sigma, self.middle + far * self.sigma


def spread_of(values: np.ndarray, floor: float) -> Spread:
    """Median and median absolute deviation along the first axis.

    Args:
        values: (N, ...), NaN where nothing is known.
        floor: least spread, so that data without any is not all outliers.
    """
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    empty = ~known.any(axis=0)
    filled = np.where(known, values, np.nan)
    filled = np.where(empty, 0.0, filled)
    middle = np.nanmedian(filled, axis=0)
    sigma = np.maximum(TO_SIGMA * np.nanmedian(np.abs(filled - middle), axis=0), floor)
    return Spread(np.where(known, (filled - middle) / sigma, 0.0), middle, sigma)


def ranks(values: np.ndarray) -> np.ndarray:
    """(N,) ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    result: np.ndarray = (ends - (counts + 1) / 2)[place]
    return result


def rank_correlation(values: np.ndarray) -> float:
    """Spearman's correlation of values (N,) with their order; 0 where they are all alike."""
    a, b = ranks(values), np.arange(len(values), dtype=np.float64)
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
