"""Smoothness of a motion by two measures that length and speed do not change: SPARC and LDLJ. Both are negative, and
the closer to 0 the smoother.

Sources: S. Balasubramanian, A. Melendez-Calderon, A. Roby-Brami, E. Burdet, "On the analysis of movement smoothness",
J. NeuroEngineering Rehabil. 12:112, 2015 (SPARC; LDLJ of a velocity, here of all joints together).
"""

from __future__ import annotations

import numpy as np

PADDING = 4  # powers of two beyond the length
CUTOFF_HZ, THRESHOLD = 10.0, 0.05  # of the spectrum: the authors' values
FEWEST = 8  # rows


def sparc(speed: np.ndarray, rate_hz: float) -> float:
    """Spectral arc length of a speed profile (T,); NaN where it is too short or nothing moves."""
    if len(speed) < FEWEST or not np.any(speed > 0):
        return float("nan")
    size = 1 << (int(np.ceil(np.log2(len(speed)))) + PADDING)
    spectrum = np.abs(np.fft.rfft(speed, size))
    spectrum /= spectrum.max()
    frequency = np.fft.rfftfreq(size, 1 / rate_hz)
    inside = frequency <= CUTOFF_HZ
    above = np.flatnonzero(inside & (spectrum >= THRESHOLD))
    last = int(above[-1]) + 1
    if last < 2:
        return float("nan")
    frequency, spectrum = frequency[:last], spectrum[:last]
    steps = np.hypot(np.diff(frequency) / (frequency[-1] - frequency[0]), np.diff(spectrum))
    return -float(steps.sum())


def ldlj(velocity: np.ndarray, rate_hz: float) -> float:
    """Log dimensionless jerk of a velocity (T, D), rad/s; NaN where it is too short or nothing moves."""
    if len(velocity) < FEWEST:
        return float("nan")
    peak = float(np.sqrt((velocity**2).sum(axis=1)).max())
    if peak <= 0:
        return float("nan")
    seconds = len(velocity) / rate_hz
    jerk = np.diff(velocity, n=2, axis=0) * rate_hz**2
    total = float((jerk**2).sum()) / rate_hz
    return -float(np.log(max(total * seconds**3 / peak**2, 1e-12)))


def lightly_smoothed(values: np.ndarray) -> np.ndarray:
    """(T, D) without the noise of encoders from row to row: the binomial mean of five rows."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    weights = (1, 4, 6, 4, 1)
    smoothed = np.zeros_like(values)
    for i, weight in enumerate(weights):
        smoothed += weight / 16.0 * padded[i : i + len(values)]
    return smoothed
