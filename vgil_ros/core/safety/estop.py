"""Whatever somebody else says must hold the robot: the e-stop, and a fault of the robot itself."""

from __future__ import annotations

from vgil_ros.core.safety.types import FAULT, Command, Hold, Pass, SafetyContext, Verdict


class EstopLimit:
    """Holds while the e-stop is pressed. After its release the soft start decides how the robot goes on."""

    name = "estop"

    def reset(self) -> None:
        """Nothing is remembered: whether it is pressed is in the context."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        return Hold("e-stop is pressed") if context.estop else Pass(command)


class FaultLimit:
    """Holds while a fault of the robot is known (see `core.bringup.watch`)."""

    name = FAULT

    def reset(self) -> None:
        """Nothing is remembered: the fault is in the context."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        return Hold(context.fault) if context.fault else Pass(command)
