"""Smoothness of a sequence of commands: its first and second differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.prefix import Floats


@dataclass(frozen=True, eq=False)
class Smoothness:
    """The largest and the 99th percentile for each joint (D,), in the commands' unit.

    The first difference is |a_t - a_(t-1)|, the second |a_t - 2 a_(t-1) + a_(t-2)|, which is left once steady motion is
    taken away.
    """

    first_difference_max: Floats
    first_difference_p99: Floats
    second_difference_max: Floats
    second_difference_p99: Floats

    def as_dict(self) -> dict[str, list[float]]:
        """Plain lists, for a report."""
        return {
            name: getattr(self, name).tolist()
            for name in (
                "first_difference_max",
                "first_difference_p99",
                "second_difference_max",
                "second_difference_p99",
            )
        }


def measure_smoothness(commands: ArrayLike) -> Smoothness:
    """Smoothness of commands (T, D), one a tick. Too few rows for a difference count as zero; NaN stays NaN."""
    values = np.asarray(commands, dtype=np.float64)
    if values.ndim != 2:
        raise VgilError(f"commands: found shape {values.shape}, expected (T, D)")
    first = np.abs(np.diff(values, axis=0))
    second = np.abs(np.diff(values, n=2, axis=0))
    return Smoothness(_largest(first), _p99(first), _largest(second), _p99(second))


def _largest(values: Floats) -> Floats:
    largest: Floats = values.max(axis=0, initial=0.0)
    return largest


def _p99(values: Floats) -> Floats:
    return np.percentile(values, 99, axis=0) if len(values) else np.zeros(values.shape[1])
