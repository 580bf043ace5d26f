"""The soft start: after a start or a hold, the robot is moved to the policy's action slowly before it is followed."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.position import TOLERATED
from vgil_ros.core.safety.types import Changed, Command, Floats, Pass, SafetyContext, Verdict


class SoftStartLimit:
    """Checks the first action after a start or a hold; one that is too far off is approached slowly.

    Too far is more than a joint could do in `largest_step_s` at its velocity limit, and any way at all from outside the
    position limits. The way there is straight in joint
    space, at `fraction` of the velocity limits; the base stays at rest. The robot goes for the action of the tick it is
    in, not for the first one for ever: the policy sees the robot move and may change its mind.
    """

    name = "soft_start"

    def __init__(self, limits: JointLimits, fraction: float = 0.2, largest_step_s: float = 0.05) -> None:
        if not 0.0 < fraction <= 1.0:
            raise VgilError(f"soft start: found fraction {fraction}, it must be above 0 and at most 1")
        if not largest_step_s > 0.0:
            raise VgilError(f"soft start: found largest_step_s {largest_step_s}, it must be above 0")
        self._limits = limits
        self._slow = limits.velocity * fraction
        self._largest = limits.velocity * largest_step_s
        self.reset()

    def reset(self) -> None:
        """The next action is a first one again."""
        self._following = False

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass, or Changed while on the way."""
        if context.holding:
            self._following = False
            return Pass(command)
        if self._following:
            return Pass(command)
        last, _ = context.standing()
        way: Floats = command.positions - last
        outside = (last < self._limits.lower - TOLERATED) | (last > self._limits.upper + TOLERATED)
        far = (np.abs(way) > self._largest) | outside
        if not far.any():
            self._following = True
            return Pass(command)
        ticks = float(np.max(np.abs(way) / (self._slow * context.period_s)))
        base = None if command.base is None else np.zeros(2)
        joints = self._limits.named(far)
        reason = f"{', '.join(joints)} too far from the action, moving there slowly"
        if outside.any():
            reason = f"{', '.join(self._limits.named(outside))} outside the joint limits, moving inward slowly"
        return Changed(Command(last + way / max(ticks, 1.0), base), reason, joints)
