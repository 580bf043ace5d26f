"""The gripper trigger: a command that the operator gives by closing all master grippers."""

from __future__ import annotations

import numpy as np

OPEN, CLOSED = 0.6, 0.25
HOLD_NS = 300_000_000


class GripperTrigger:
    """Fires once when all master grippers, having been open, are closed and stay so for 0.3 s.

    Widths are normalised: 0 closed, 1 open.

    Args:
        armed: the grippers are known to have been open.
    """

    def __init__(self, *, armed: bool = False) -> None:
        self._armed = armed
        self._since: int | None = None

    def reset(self) -> None:
        """Forget that the grippers were open: what they did meanwhile triggers nothing."""
        self._armed, self._since = False, None

    def update(self, now_ns: int, widths: np.ndarray) -> bool:
        """Take the grippers' widths (G,); True at the moment the trigger fires."""
        if widths.size == 0:
            return False
        if (widths > OPEN).all():
            self._armed, self._since = True, None
        if not (widths < CLOSED).all():
            self._since = None
            return False
        if not self._armed:
            return False
        self._since = now_ns if self._since is None else self._since
        if now_ns - self._since < HOLD_NS:
            return False
        self._armed, self._since = False, None
        return True
