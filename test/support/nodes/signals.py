"""What the fake robot's joints do: known functions of the stamp, so that a file can be held against them."""

from __future__ import annotations

import numpy as np

MASTER_LEAD = 0.05  # rad by which a master is ahead
ROUND_NS = 4_188_790_204_786  # a thousand swings: seconds stay small enough for floats, without a jump where they wrap


def position(joint: int, stamp_ns: int | np.ndarray, *, master: bool = False) -> np.ndarray:
    """Position (rad) of a joint, by its place in the contract, at a stamp."""
    seconds = (np.asarray(stamp_ns) % ROUND_NS) / 1e9
    return 0.3 * np.sin(1.5 * seconds + 1.1 * joint) + 0.2 * joint + (MASTER_LEAD if master else 0.0)
