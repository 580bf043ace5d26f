"""Moments of vectors that are gathered piece by piece and merged, so that no data set need fit in memory."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping

import numpy as np

from vgil_ros.policies.config import Normalization
from vgil_ros.policies.frozen import Frozen
from vgil_ros.policies.normalizer import STD_FLOOR, Normalizer


class Moments(Frozen):
    """Count, mean, sum of squared differences from it, and range, of rows (N, D)."""

    count: int
    mean: tuple[float, ...]
    m2: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Moments of rows (N, D), N above 0, in float64."""
        data = np.asarray(rows, np.float64)
        mean = data.mean(0)
        parts = (mean, np.square(data - mean).sum(0), data.min(0), data.max(0))
        return cls(
            **dict(zip(("mean", "m2", "low", "high"), (tuple(p.tolist()) for p in parts), strict=True)), count=len(data)
        )

    def merge(self, other: Moments) -> Moments:
        """Moments of both together (Chan, Golub & LeVeque 1979)."""
        total = self.count + other.count
        ours, theirs = np.array(self.mean), np.array(other.mean)
        delta = theirs - ours
        m2 = np.array(self.m2) + np.array(other.m2) + np.square(delta) * (self.count * other.count / total)
        return Moments(
            count=total,
            mean=tuple((ours + delta * (other.count / total)).tolist()),
            m2=tuple(m2.tolist()),
            low=tuple(np.minimum(self.low, other.low).tolist()),
            high=tuple(np.maximum(self.high, other.high).tolist()),
        )

    def join(self, other: Moments) -> Moments:
        """Moments of the columns of both side by side; both are of the same rows."""
        return Moments(
            count=self.count,
            mean=self.mean + other.mean,
            m2=self.m2 + other.m2,
            low=self.low + other.low,
            high=self.high + other.high,
        )

    @property
    def std(self) -> np.ndarray:
        """(D,), with N - 1 in the denominator."""
        return np.sqrt(np.array(self.m2) / max(self.count - 1, 1))

    def statistics(self) -> dict[str, np.ndarray]:
        """`mean`, `std`, `min`, `max`, (D,) each, with the floors of `Normalizer.fit`."""
        low, high = np.array(self.low), np.array(self.high)
        middle, half = (low + high) / 2, np.maximum(high - low, STD_FLOOR) / 2
        return {
            "mean": np.array(self.mean),
            "std": np.maximum(self.std, STD_FLOOR),
            "min": middle - half,
            "max": middle + half,
        }


def merge_all(parts: Iterable[Moments]) -> Moments:
    """Moments of everything in `parts`, which are not empty."""
    return functools.reduce(Moments.merge, parts)


def make_normalizer(
    spec: Normalization, qpos: Moments, action: Moments, pictures: Mapping[str, Moments], cameras: tuple[str, ...]
) -> Normalizer:
    """Make a policy's normaliser.

    Args:
        pictures: of pixels in [0, 1], (3,) for each camera.
        cameras: in the policy's order.

    Raises:
        PolicyError: statistics that cannot be divided by.
    """
    mean = std = None
    if spec.images.mode == "mean_std":
        mean = np.stack([pictures[name].mean for name in cameras])
        std = np.stack([np.maximum(pictures[name].std, STD_FLOOR) for name in cameras])
    return Normalizer.from_statistics(spec, qpos.statistics(), action.statistics(), len(cameras), mean, std)
