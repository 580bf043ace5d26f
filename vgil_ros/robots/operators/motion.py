"""Motion of the scripted operator: from rest to rest with least jerk, and never quite still."""

from __future__ import annotations

import numpy as np


def min_jerk(s: float) -> float:
    """Return the way done, 0..1, at the share `s` of the time (Flash and Hogan 1985)."""
    s = min(max(s, 0.0), 1.0)
    return s**3 * (10.0 - 15.0 * s + 6.0 * s * s)


class Tremor:
    """Slow small wandering of each joint: a sum of sines with drawn frequencies and phases.

    Args:
        size: number of joints.
        amplitude: rad, about the largest deviation.
        rng: what draws it.
    """

    def __init__(self, size: int, amplitude: float, rng: np.random.Generator) -> None:
        waves = 4
        self._frequency = rng.uniform(0.2, 1.6, (waves, size)) * 2 * np.pi
        self._phase = rng.uniform(0, 2 * np.pi, (waves, size))
        self._amplitude = amplitude / waves

    def at(self, time: float) -> np.ndarray:
        """Return the deviation (size,) rad at a time in seconds."""
        result: np.ndarray = self._amplitude * np.sin(self._frequency * time + self._phase).sum(axis=0)
        return result
