"""Whether joints come after their commands: a motor that has switched itself off, a collision, a brake.

A puppet trails a moving command, and by how much is the robot's own business. So a joint is held against where it was
commanded over half of `after_s`, not against the newest command alone; and it must be off for the other half.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout

SHORT_SHARE = 0.2  # of a joint's range; max_error is for joints that turn by a few rad


class FollowingMonitor:
    """Watches joints, (J,) in any units.

    Args:
        max_error: (J,) how far measured and commanded may be apart; infinite for a joint that is not watched.
        after_ns: for how long they may be farther apart.
    """

    def __init__(self, max_error: np.ndarray, after_ns: int) -> None:
        self._max_error, self._half_ns = max_error, after_ns // 2
        self.reset()

    def reset(self) -> None:
        """Commands have paused: what was, is no measure of what comes."""
        self._commands: deque[tuple[int, np.ndarray]] = deque()
        self._since_ns = np.zeros(len(self._max_error), np.int64)
        self._off = np.zeros(len(self._max_error), bool)

    def update(self, now_ns: int, command: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """Return which joints do not follow, (J,) bool.

        Args:
            now_ns: the time.
            command: (J,) what was sent last.
            measured: (J,) where the joints are.
        """
        if self._commands and now_ns < self._commands[-1][0]:
            self.reset()
        self._commands.append((now_ns, command))
        while self._commands[0][0] < now_ns - self._half_ns:
            self._commands.popleft()
        if (np.abs(command - measured) <= self._max_error).all():
            self._off[:] = False
            return self._off.copy()
        sent = np.array([positions for _, positions in self._commands])
        error = np.maximum(sent.min(axis=0) - measured, measured - sent.max(axis=0))
        off = error > self._max_error
        self._since_ns = np.where(off & self._off, self._since_ns, now_ns)
        self._off = off
        result: np.ndarray = off & (now_ns - self._since_ns >= self._half_ns)
        return result


def largest_errors(layout: Layout) -> np.ndarray:
    """How far measured and commanded may be apart by a robot's contract, (J,) in units of the action.

    Grippers are not watched: one that has closed on a thing is where it should be.
    """
    following, parts = layout.contract.following, []
    for arm in layout.arms:
        limits = arm.arm.limits
        error = np.minimum(following.max_error, SHORT_SHARE * (np.array(limits.upper) - np.array(limits.lower)))
        if arm.gripper_column is not None:
            error[arm.gripper_column - arm.columns.start] = np.inf
        if arm.arm.name in following.off:
            error[:] = np.inf
        parts.append(error)
    return np.concatenate(parts)


def following_monitor(layout: Layout, columns: slice | None = None) -> FollowingMonitor | None:
    """The monitor of a robot, or of some of its columns; None where nothing of it is watched."""
    errors = largest_errors(layout)[columns or slice(None)]
    return FollowingMonitor(errors, after_ns(layout.contract)) if np.isfinite(errors).any() else None


def after_ns(contract: Contract) -> int:
    """The contract's `following.after_s` in ns."""
    return round(contract.following.after_s * 1e9)


def not_following_words(
    names: Sequence[str], which: np.ndarray, command: np.ndarray, measured: np.ndarray, after_s: float
) -> str:
    """The joints (J,) bool that do not follow, in words."""
    words = []
    for i in np.flatnonzero(which).tolist():
        at = f"commanded to {command[i]:.3g}, measured at {measured[i]:.3g}"
        words.append(f"{names[i]} does not follow: {at} for {after_s:g} s")
    return "; ".join(words)
