"""A fault that somebody else knows of, such as a motor that has switched itself off, holds the robot."""

from __future__ import annotations

from vgil_ros.core.safety.types import FAULT, Command, Hold, Pass, SafetyContext, Verdict


class FaultLimit:
    """Holds while a fault of the robot is known (see `core.bringup.watch`)."""

    name = FAULT

    def reset(self) -> None:
        """Nothing is remembered: the fault is in the context."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        return Hold(context.fault) if context.fault else Pass(command)
