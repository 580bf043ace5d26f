"""What the operator is told of limits that step in."""

from __future__ import annotations

import time

from vgil_ros.core.safety import Outcome
from vgil_ros.nodes.base.node import VgilNode

QUIET_S = 5.0  # between two lines about limits that step in


class InterventionTeller:
    """A hold is a trouble for as long as it lasts; of a command that was changed there is a line now and then.

    Attributes:
        reason: of the last intervention.
    """

    def __init__(self, node: VgilNode) -> None:
        self._node = node
        self._quiet_until = 0.0
        self.reason = "none"

    def tell(self, outcome: Outcome) -> None:
        """Say what stepped in at a tick."""
        if outcome.interventions:
            self.reason = "; ".join(f"{i.name}: {i.reason}" for i in outcome.interventions)
        if outcome.interventions and outcome.holding:
            self._node.trouble("holding", f"holding: {self.reason}")
            return
        self._node.recovered("holding")
        if outcome.interventions and time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_S  # rclpy's own throttle looks at the stack at every call
            self._node.say(f"limited: {self.reason}", warns=True)
