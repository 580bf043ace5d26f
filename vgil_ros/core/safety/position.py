"""Joint position limits."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.safety.joints import SLACK, JointLimits
from vgil_ros.core.safety.types import Changed, Command, Context, Pass, Verdict


class PositionLimit:
    """Clips each joint to [lower, upper]."""

    name = "position"

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self._range = tuple(zip(limits.lower.tolist(), limits.upper.tolist(), strict=True))

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: Context) -> Verdict:
        """Pass or Changed."""
        if all(low <= value <= high for value, (low, high) in zip(command.values, self._range, strict=True)):
            return Pass(command)
        inside = np.clip(command.positions, self._limits.lower, self._limits.upper)
        beyond = np.abs(command.positions - inside)
        allowed = Command(inside, command.base)
        if beyond.max(initial=0.0) <= SLACK:
            return Pass(allowed)
        joints = self._limits.named(beyond > SLACK)
        return Changed(allowed, f"{', '.join(joints)} beyond the joint limits by up to {beyond.max():.4g}", joints)
