"""The e-stop."""

from __future__ import annotations

from vgil_ros.core.safety.types import Command, Hold, Pass, SafetyContext, Verdict


class EstopLimit:
    """Holds while the e-stop is pressed. After its release the soft start decides how the robot goes on."""

    name = "estop"

    def reset(self) -> None:
        """Nothing is remembered: whether it is pressed is in the context."""

    def apply(self, command: Command, context: SafetyContext) -> Verdict:
        """Pass or Hold."""
        return Hold("e-stop is pressed") if context.estop else Pass(command)
