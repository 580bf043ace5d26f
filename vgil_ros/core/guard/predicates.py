"""What a joint cannot read, as pure predicates over arrays, (J,) of one message or (T, J) of many.

A value that is not a number offends none of them: that is for whoever reads it to refuse.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

ZERO_COUNT = -np.pi  # rad; what Dynamixel and Feetech drivers make of a count of 0, the reading of a servo that is gone
ZERO_TOLERANCE = 1e-3  # rad; half a count of 4096 is 0.8e-3
SLACK_S = 0.02  # that stamps may be off, as drivers stamp when they publish
DEGREES_FROM = 3.5  # what is read in degrees and stands for less than 0.06 rad is not told apart


def beyond_range(values: np.ndarray, lower: np.ndarray, upper: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """Whether joints read more than a margin beyond their range.

    Args:
        values: (..., J).
        lower, upper, margin: (J,) in the same units.

    Returns:
        (..., J) bool.
    """
    result: np.ndarray = (values < lower - margin) | (values > upper + margin)
    return result


def reach(seconds: float | np.ndarray, velocity: np.ndarray, speed: float) -> np.ndarray:
    """How far a joint can come in a time, (..., J): at `speed` times its velocity limit, with stamps that jitter.

    Args:
        seconds: between two readings, () or (..., 1).
        velocity: (J,) per second; infinite for what may jump, such as a gripper.
        speed: in velocity limits, 1 or more.
    """
    result: np.ndarray = speed * velocity * (np.abs(seconds) + SLACK_S)
    return result


def lost_servos(values: np.ndarray, arm: np.ndarray | None = None) -> np.ndarray:
    """Whether every joint of an arm reads the zero count at once, (...) bool: its driver has lost the servos.

    Args:
        values: (..., J) rad, in the units of the message.
        arm: (J,) bool, the joints to look at: a gripper may be measured in other units. All where None.
    """
    looked_at = values if arm is None else values[..., arm]
    if looked_at.shape[-1] < 2:  # one joint may well stand there
        return np.zeros(values.shape[:-1], bool)
    result: np.ndarray = np.asarray((np.abs(looked_at - ZERO_COUNT) < ZERO_TOLERANCE).all(axis=-1))
    return result


def looks_like_degrees(value: float, lower: float, upper: float, margin: float) -> bool:
    """Whether a value that is no angle in rad within a range would be one in degrees."""
    return abs(value) > DEGREES_FROM and lower - margin <= np.radians(value) <= upper + margin


def out_of_range_words(
    names: Sequence[str], values: np.ndarray, lower: np.ndarray, upper: np.ndarray, margin: np.ndarray
) -> str:
    """The joints beyond their range, in words: "j2 reads -49, its limits are -1.8 to 1.2: degrees?"; "" for none."""
    words = []
    for i in np.flatnonzero(beyond_range(values, lower, upper, margin)).tolist():
        value, low, high = float(values[i]), float(lower[i]), float(upper[i])
        degrees = ": degrees?" if looks_like_degrees(value, low, high, float(margin[i])) else ""
        words.append(f"{names[i]} reads {value:.4g}, its limits are {low:.4g} to {high:.4g}{degrees}")
    return "; ".join(words)
