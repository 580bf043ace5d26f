"""Statistics of an episode's features and of a data set, as LeRobot computes them.

v3.0 has quantiles, from histograms of 5000 bins between an episode's least and largest value, and the standard
deviation as the root of E[x^2] - E[x]^2, in the feature's own precision; v2.1 has NumPy's own. A data set's are those
of its episodes: means and variances merged, quantiles averaged by their counts.
Source: huggingface/lerobot, `datasets/compute_stats.py`, version 0.4.4 (v3.0) and 0.3.3 (v2.1).

Where ours differ: version 0.4.4 squares images as uint8, which wraps at 256, and so finds a standard deviation of 0;
and 64-bit integers likewise. Here both are squared as float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vgil_ros.datasets.lerobot.info import Version

Stats = dict[str, np.ndarray]  # min, max, mean, std, count, and in v3.0 q01, q10, q50, q90, q99
QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
BINS = 5000
PADDING = 1e-10
TARGET, SMALL = 150, 300  # pixels: images are thinned out to about the first, those below the second are not


def of_rows(values: np.ndarray, version: Version) -> Stats:
    """Statistics of a column (T,) or (T, D), each (D,)."""
    rows = values.reshape(len(values), -1)
    if rows.dtype.kind in "iub":
        rows = rows.astype(np.float64)
    extremes = {"min": values.reshape(rows.shape).min(0), "max": values.reshape(rows.shape).max(0)}
    result: Stats = {**extremes, "mean": rows.mean(0), "std": rows.std(0), "count": np.array([len(rows)])}
    if version == "v2.1":
        return result
    if len(rows) < 2:
        return {**result, **{key: result["mean"].copy() for key in QUANTILES}}
    variance = (rows**2).mean(0) - rows.mean(0) ** 2
    result["std"] = np.sqrt(np.maximum(0, variance))
    low, high = rows.min(0), rows.max(0)
    counts, edges = zip(*(_histogram(rows[:, i], low[i], high[i]) for i in range(rows.shape[1])), strict=True)
    return {**result, **_quantiles(counts, edges, len(rows))}


def _histogram(values: np.ndarray, low: Any, high: Any, weights: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
    edges = np.linspace(low - PADDING, high + PADDING, BINS + 1)
    counts, _ = np.histogram(values, bins=edges, weights=weights)
    return counts.astype(np.float64), edges


def _quantiles(counts: Iterable[np.ndarray], edges: Iterable[np.ndarray], total: int) -> Stats:
    pairs = list(zip(counts, edges, strict=True))
    return {key: np.array([_quantile(c, e, share * total) for c, e in pairs]) for key, share in QUANTILES.items()}


def _quantile(counts: np.ndarray, edges: np.ndarray, wanted: float) -> float:
    """Where the counts up to a value reach `wanted`, linear within the bin; the lower edge within the first one."""
    sums = np.cumsum(counts)
    place = int(np.searchsorted(sums, wanted))
    if place == 0:
        return float(edges[0])
    if place >= len(sums):
        return float(edges[-1])
    inside = sums[place] - sums[place - 1]
    if inside == 0:
        return float(edges[place])
    return float(edges[place] + (wanted - sums[place - 1]) / inside * (edges[place + 1] - edges[place]))


def sampled_rows(rows: int) -> list[int]:
    """The rows whose images go into the statistics: all up to 100, then rows^0.75 of them, at least 100."""
    least = min(100, rows)
    count = max(least, min(int(rows**0.75), 10_000))
    chosen: list[int] = np.round(np.linspace(0, rows - 1, count)).astype(int).tolist()
    return chosen


class ImageStats:
    """Statistics of one camera from how often each value comes in each channel: memory does not grow with images."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._images = 0

    def add(self, image: np.ndarray) -> None:
        """Add an image (H, W, 3) uint8 RGB."""
        height, width = image.shape[:2]
        if max(height, width) >= SMALL:
            step = int(width / TARGET) if width > height else int(height / TARGET)
            image = image[::step, ::step]
        self._images += 1
        for channel in range(3):
            self._counts[channel] += np.bincount(image[..., channel].ravel(), minlength=256)

    def result(self, version: Version) -> Stats:
        """Statistics in [0, 1], (3, 1, 1) each."""
        values = np.arange(256, dtype=np.float64)
        total = int(self._counts[0].sum())
        present = [np.flatnonzero(one) for one in self._counts]
        low, high = np.array([p[0] for p in present]), np.array([p[-1] for p in present])
        mean = self._counts @ values / total
        std = np.sqrt(np.maximum(0, self._counts @ values**2 / total - mean**2))
        stats: Stats = {"min": low, "max": high, "mean": mean, "std": std}
        if version == "v3.0":
            pairs = [_histogram(values, low[i], high[i], self._counts[i]) for i in range(3)]
            stats |= _quantiles((c for c, _ in pairs), (e for _, e in pairs), total)
        scaled = {key: (one / 255.0).reshape(3, 1, 1) for key, one in stats.items()}
        return {**scaled, "count": np.array([self._images])}


def merge(parts: Iterable[Mapping[str, Stats]]) -> dict[str, Stats]:
    """Statistics of a data set from those of its episodes, taken one after the other as LeRobot's recorder does."""
    merged: dict[str, Stats] = {}
    for part in parts:
        for key, stats in part.items():
            merged[key] = _merge_two(merged[key], stats) if key in merged else dict(stats)
    return merged


def _merge_two(ours: Stats, other: Stats) -> Stats:
    both = [ours, other]
    counts = np.stack([one["count"] for one in both])
    total = counts.sum(0)
    means = np.stack([one["mean"] for one in both])
    while counts.ndim < means.ndim:
        counts = counts[..., None]
    mean = (means * counts).sum(0) / total
    spread = np.stack([one["std"] ** 2 for one in both]) + (means - mean) ** 2
    result: Stats = {
        "min": np.minimum(ours["min"], other["min"]),
        "max": np.maximum(ours["max"], other["max"]),
        "mean": mean,
        "std": np.sqrt((spread * counts).sum(0) / total),
        "count": total,
    }
    for key in (key for key in QUANTILES if key in ours and key in other):  # in one order: files are compared
        result[key] = (np.stack([one[key] for one in both]) * counts).sum(0) / total
    return result


def as_lists(stats: Mapping[str, Stats]) -> dict[str, dict[str, Any]]:
    """For JSON and parquet."""
    return {key: {name: value.tolist() for name, value in one.items()} for key, one in stats.items()}


def as_arrays(stats: Mapping[str, Mapping[str, Any]]) -> dict[str, Stats]:
    """From JSON."""
    return {key: {name: np.array(value) for name, value in one.items()} for key, one in stats.items()}
