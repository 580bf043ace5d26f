"""Speed and smoothness: an episode shown much faster or slower than the others, or with a hand that shakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Moved
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

SPEED_FLOOR = 0.06  # of the logarithm
LDLJ_FLOOR, SPARC_FLOOR = 0.2, 0.1


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes that are faster, slower, or less smooth than the others."""
    for group in data.alike:
        yield from _speed(group)
        yield from _rough(group, "LDLJ", np.array([motion.ldlj for _, motion in group]), LDLJ_FLOOR)
        yield from _rough(group, "SPARC", np.array([motion.sparc for _, motion in group]), SPARC_FLOOR)


def _speed(group: Sequence[Moved]) -> Iterator[Found]:
    speeds = np.array([motion.speed for _, motion in group])
    spread = spread_of(np.log(np.where(speeds > 0, speeds, np.nan)), SPEED_FLOOR)
    low, high = np.exp(spread.usual())
    for (one, motion), z in zip(group, spread.z, strict=True):
        if abs(z) > FAR:
            message = f"moves at {motion.speed:.2g} rad/s where it is fast; usual: {low:.2g} to {high:.2g}"
            advice = "look whether it shows the task; show it at the others' speed, or delete it"
            yield Found(one.number, Finding("warning", "speed", "qpos", message), advice)


def _rough(group: Sequence[Moved], measure: str, values: np.ndarray, floor: float) -> Iterator[Found]:
    spread = spread_of(values, floor)
    for (one, _), value, z in zip(group, values, spread.z, strict=True):
        if z < -FAR:
            least = spread.usual()[0]
            message = f"smoothness ({measure}) is {value:.2f}; usual: {least:.2f} or more"
            advice = "look for a shaking hand, a loose joint, or an arm that hit something; delete it if it is so"
            yield Found(one.number, Finding("warning", "jerk", "qpos", message), advice)
