"""Brings a robot, or its leaders, along a course of poses: through the same safety limits as a policy."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.control.context import measured_positions
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ExecutionOptions, make_direct_pipeline
from vgil_ros.core.control.poses import PoseCourse
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.publishers import RobotCommands
from vgil_ros.nodes.messages.subscriptions import StreamInputs


class Mover:
    """Slow motion from wherever the robot is.

    Args:
        node: that moves it.
        contract: the robot.
        options: of the safety limits.
        watched: whether the bring-up node has a say; not where it moves the robot itself.

    Attributes:
        started: it commands the robot.
        done: the course is at its end, and the robot too.
        failure: why it does not get there; None while that is not so.
    """

    def __init__(self, node: VgilNode, contract: Contract, options: ExecutionOptions, *, watched: bool = True) -> None:
        self._node, self.layout = node, Layout(contract)
        self.period_s = 1.0 / contract.rate_hz
        streams = policy_streams(contract, cameras=())
        self.sync = Synchronizer(streams, contract.sync, contract.rate_hz, simulated=node.simulated)
        self.inputs = StreamInputs(node, contract, self.sync)
        self.loop = ControlLoop(self.sync, make_direct_pipeline(options, self.layout, streams))
        self.commands = RobotCommands(node, self.layout, self.period_s, watched=watched)
        self._stall_grace = StallGrace(round(self.period_s * 1e9))
        self._holding = f"holding {contract.name}"
        self._course: PoseCourse | None = None
        self._last: np.ndarray | None = None  # commanded
        self.started = self.done = False
        self.failure: str | None = None

    def problems(self) -> tuple[Problem, ...]:
        """What stands against beginning."""
        return self.commands.hindrances() + self.inputs.missing(self.inputs.now_ns())

    def begin(self, course: PoseCourse) -> None:
        """Command the robot from now on, along a course."""
        self._course, self._last = course, None
        self.started, self.done, self.failure = True, False, None
        self.commands.take()
        self.loop.begin(self.inputs.now_ns())

    def turn(self) -> None:
        """One tick."""
        now = self.inputs.now_ns()
        self._observe(now)
        measured = measured_positions(self.sync, self.layout)
        if self.loop.latest is None or measured is None:  # the first tick is complete a moment later
            return
        if self._last is None and not self.commands.heard():  # the topics were just taken: the first one must arrive
            return
        assert self._course is not None
        last = measured if self._last is None else self._last
        self.loop.fault = self.commands.fault
        outcome = self.loop.send(Command(self._course.next(now, self.period_s, last, measured)), now)
        self._send(outcome)
        if outcome.holding or outcome.command is None:
            self._held(outcome)
            return
        self._node.clear(self._holding)
        self.done, self.failure = self._course.done, self._course.failure

    def _held(self, outcome: Outcome) -> None:
        if (words := outcome.operator_needed) is not None:
            self.failure = words
            return
        reasons = "; ".join(event.reason for event in outcome.safety_events)
        self._node.warn_once(self._holding, f"{self._holding}: {reasons}")

    def _observe(self, now: int) -> None:
        by = self._stall_grace.time(now)
        while (found := self.sync.sample(by)) is not None:
            if isinstance(found, Sample):
                self.loop.observe(found)

    def _send(self, outcome: Outcome) -> None:
        if outcome.command is not None:
            self._last = outcome.command.positions
            self.commands.send(self.commands.encode_safe(outcome))

    def contested(self) -> tuple[Problem, ...]:
        """Who else commands the robot, while this does."""
        return self.commands.contested() if self.commands.taken else ()

    def hold(self) -> bool:
        """Hold once more, arms where they were commanded, base at zero; True while the command still moves there."""
        outcome = self.loop.hold(self.inputs.now_ns())
        self._send(outcome)
        return outcome.settling

    def leave(self) -> None:
        """Let go of the robot: held once more, where anything was sent."""
        if self._last is not None and self.commands.taken:
            self.hold()
        self.commands.let_go()
        self.started = False

    def end(self) -> None:
        """The same as a process ends: until what was sent has arrived, and the command stands."""
        if self._last is not None and self.commands.taken:
            self.commands.hold_and_end(self.hold)
