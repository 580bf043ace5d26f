"""The bring-up node's status as the nodes hear it that move a robot, or record it."""

from __future__ import annotations

import re
import time

from diagnostic_msgs.msg import DiagnosticStatus

from vgil_ros.core.bringup.watch import BringupWatch
from vgil_ros.core.contract import Contract
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode

LOOK_S = 0.5


class RobotHealth:
    """Listens to `bringup/status`, where the contract names what a bring-up does; a robot without it is always well."""

    def __init__(self, node: VgilNode, contract: Contract) -> None:
        self._node, self._watch = node, BringupWatch()
        if contract.driver is None and not contract.enable and not contract.disable:
            return
        node.create_subscription(DiagnosticStatus, "bringup/status", self._on_status, 10)
        node.background_timer(LOOK_S, self._look)

    def _on_status(self, message: DiagnosticStatus) -> None:
        state = next((pair.value for pair in message.values if pair.key == "state"), "")
        failed = message.level == DiagnosticStatus.ERROR
        self._watch.heard(time.monotonic(), state, failed, message.message)

    def _look(self) -> None:
        """A bring-up node that was killed is named; what it watched over is watched by nobody then."""
        if words := self._watch.silent(time.monotonic()):
            self._node.warn_once("bringup", words)
        else:
            self._node.clear("bringup")

    @property
    def fault(self) -> str:
        """In words: why the robot must not be moved; "" where it may be."""
        return self._watch.hold(time.monotonic())

    def problems(self) -> tuple[Problem, ...]:
        """The same, as what stands against a start."""
        words = self.fault
        return (Problem(re.sub(r"\d+", "", words), words),) if words else ()

    def contested(self) -> tuple[Problem, ...]:
        """That the bring-up node itself commands the robot."""
        words = self._watch.moves(time.monotonic())
        return (Problem("bringup", words),) if words else ()
