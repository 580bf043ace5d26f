"""Joint velocity limits."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.safety.joint_limits import SLACK, JointLimits
from vgil_ros.core.safety.types import Changed, Command, Pass, SafetyContext, Verdict


class VelocityLimit:
    """Lets no joint move more than velocity x period from the command before.

    What it returns lies between the command before and the one asked for, so it leaves no limit that both keep. It
    comes last of the joint limits: a velocity cut towards zero keeps what the acceleration limit has allowed.
    """

    name = "velocity"

    def __init__(self, limits: JointLimits) -> None:
        self._limits = limits
        self._most = tuple(limits.velocity.tolist())

    def reset(self) -> None:
        """Nothing is remembered."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Changed."""
        last, _ = context.standing()
        if self._keeps(command, context):
            return Pass(command)
        reach = self._limits.velocity * context.period_s
        within = np.clip(command.positions, last - reach, last + reach)
        beyond = np.abs(command.positions - within)
        allowed = Command(within, command.base)
        if beyond.max(initial=0.0) <= SLACK:
            return Pass(allowed)
        joints = self._limits.named(beyond > SLACK)
        return Changed(allowed, f"{', '.join(joints)} faster than the velocity limit", joints)

    def _keeps(self, command: Command, context: SafetyContext) -> bool:
        """Whether no joint is too fast, said without a doubt: at the limit itself rounding decides, in `apply`."""
        if context.last is None:
            return False
        period = context.period_s
        both = zip(command.values, context.last.values, self._most, strict=True)
        return all(abs(value - last) < most * period for value, last, most in both)
