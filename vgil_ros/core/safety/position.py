"""Joint position limits."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.safety.joint_limits import SLACK, JointLimits
from vgil_ros.core.safety.types import Changed, Command, Pass, SafetyContext, Verdict

# A policy that has learned to hold a joint at its limit lands on both sides of it: those of the demo ask, in a third of
# all ticks, for up to 0.002 more than an open gripper. Less than this beyond is clipped like all else, but not told.
TOLERATED = 0.005  # rad; of a gripper's travel 0.5 %
TOLERATED_SHARE = 0.01  # and no more than this of the joint's range, which may be short, or in metres


class PositionLimit:
    """Clips each joint to [lower, upper]. Speaks of it only where the command is beyond them by more than a tolerance.

    The tolerance is the smaller of `TOLERATED` and `TOLERATED_SHARE` of the joint's range. What is returned is within
    the limits, to the last bit, on either side of it.
    """

    name = "position"

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self._range = tuple(zip(limits.lower.tolist(), limits.upper.tolist(), strict=True))
        short = TOLERATED_SHARE * (limits.upper - limits.lower)
        self._tolerated = np.maximum(np.minimum(TOLERATED, short), SLACK)

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Changed. What is held is where the robot stands, be it outside: it is not moved while it holds."""
        if context.holding or all(
            low <= value <= high for value, (low, high) in zip(command.values, self._range, strict=True)
        ):
            return Pass(command)
        inside = np.clip(command.positions, self._limits.lower, self._limits.upper)
        beyond = np.abs(command.positions - inside)
        allowed = Command(inside, command.base)
        outside = ~(beyond <= self._tolerated)  # so that NaN is outside
        if not outside.any():
            return Pass(allowed)
        joints = self._limits.named(outside)
        return Changed(allowed, f"{', '.join(joints)} beyond the joint limits by up to {beyond.max():.4g}", joints)
