"""What the fake robot's joints do: known functions of the stamp, so that a file can be held against them."""

from __future__ import annotations

import numpy as np

MASTER_LEAD = 0.05  # rad by which a master is ahead
ROUND_NS = 4_188_790_204_786  # a thousand swings: seconds stay small enough for floats, without a jump where they wrap


def position(joint: int, stamp_ns: int | np.ndarray, *, master: bool = False) -> np.ndarray:
    """Position (rad) of a joint, by its place in the contract, at a stamp.

    The third and later ones swing less: the small robots' third is a gripper, and reads what a gripper can.
    """
    seconds = (np.asarray(stamp_ns) % ROUND_NS) / 1e9
    swing, middle = (0.3, 0.1 * joint) if joint < 2 else (0.03, 0.06)
    return swing * np.sin(1.5 * seconds + 1.1 * joint) + middle + (MASTER_LEAD if master else 0.0)
