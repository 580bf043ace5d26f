"""A position that is NaN or infinite holds the robot."""

from __future__ import annotations

import math

import numpy as np

from vgil_ros.core.safety.joint_limits import JointLimits
from vgil_ros.core.safety.types import Command, Hold, Pass, SafetyContext, Verdict


class FiniteLimit:
    """Holds on positions that are not finite. All joints stay: half of a broken action is no action."""

    name = "finite"

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        if all(map(math.isfinite, command.values)):
            return Pass(command)
        finite = np.isfinite(command.positions)
        joints = self._limits.named(~finite)
        return Hold(f"action is not finite for {', '.join(joints)}", joints)
