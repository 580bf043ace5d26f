"""Brings a robot to a pose of its contract, or holds it where it is, through the same safety limits as a policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.control.context import measured_positions
from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import make_direct_pipeline
from vgil_ros.core.control.poses import POSES, PoseCourse, waypoints
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, FollowingLimit, Outcome
from vgil_ros.core.streams import policy_streams
from vgil_ros.core.sync import Sample, Synchronizer
from vgil_ros.core.sync.stall_grace import StallGrace
from vgil_ros.nodes.base.alerts import summary
from vgil_ros.nodes.base.node import ROBOT_DOC, VgilNode, run
from vgil_ros.nodes.base.safety_options import safety_options
from vgil_ros.nodes.messages.publishers import WATCH_S, RobotCommands
from vgil_ros.nodes.messages.subscriptions import StreamInputs


class Posture(VgilNode):
    """Moves slowly from wherever the robot is, inward first where that is outside its limits, and ends at the pose."""

    def __init__(self) -> None:
        super().__init__("posture")
        self.contract, _ = load_contract(self.declare("robot", "sim_aloha", doc=ROBOT_DOC))
        self.layout = Layout(self.contract)
        doc = (
            "home: the contract's; wake: its start; sleep: by way of home to its sleep; hold: where it is, until Ctrl-C"
        )
        self.pose = self.declare("pose", "home", choices=POSES, doc=doc)
        doc = "share of the velocity limits at which it goes there"
        speed = self.declare("speed", 0.15, low=0.001, high=0.5, doc=doc)
        self.period_s = 1.0 / self.contract.rate_hz
        self.streams = policy_streams(self.contract, cameras=())
        self.sync = Synchronizer(self.streams, self.contract.sync, self.contract.rate_hz, simulated=self.simulated)
        self.inputs = StreamInputs(self, self.contract, self.sync)
        options = replace(safety_options(self), soft_start=speed)
        self.loop = ControlLoop(self.sync, make_direct_pipeline(options, self.layout, self.streams))
        self.course = PoseCourse(self.layout, waypoints(self.layout, self.pose), speed)
        self.commands = RobotCommands(self, self.layout, self.period_s)
        self._stall_grace = StallGrace(round(self.period_s * 1e9))
        self._last: np.ndarray | None = None  # commanded
        self._started = False
        self.control_timer(self.period_s, self._step)
        self.background_timer(WATCH_S, self._watch_commands)

    def _step(self) -> None:
        if self.ended.is_set():
            return
        now = self.inputs.now_ns()
        if not self._started and not self._start(now):
            return
        self._observe(now)
        measured = measured_positions(self.sync, self.layout)
        if self.loop.latest is None or measured is None:  # the first tick is complete a moment later
            return
        if self._last is None and not self.commands.heard():  # the topics were just taken: the first one must arrive
            return
        last = measured if self._last is None else self._last
        outcome = self.loop.send(Command(self.course.next(now, self.period_s, last, measured)), now)
        self._send(outcome)
        if outcome.holding or outcome.command is None:
            self._held(outcome)
            return
        self.clear("holding")
        if self.course.done:
            self.log(f"the robot is at '{self.pose}'")
            self.finish(0)
        elif self.course.failure is not None:
            self._give_up(self.course.failure)

    def _held(self, outcome: Outcome) -> None:
        if (words := outcome.reason(FollowingLimit.name)) is not None:
            self._give_up(words)
            return
        self.warn_once("holding", "holding: " + "; ".join(event.reason for event in outcome.safety_events))

    def _give_up(self, words: str) -> None:
        self.log(f"not at '{self.pose}': {words}", severity="error")
        self.finish(1)

    def _start(self, now: int) -> bool:
        """Begin once every puppet is heard and the commands would be."""
        missing = self.commands.hindrances() + self.inputs.missing(now)
        if missing:
            self.warn_once("waiting", f"waiting for: {summary(missing)}")
            return False
        self.clear("waiting")
        self._started = True
        self.commands.take()
        self.loop.begin(now)
        ends = "until Ctrl-C" if self.pose == "hold" else "slowly; Ctrl-C holds it where it is"
        self.log(f"robot {self.contract.name}: '{self.pose}', {ends}")
        return True

    def _watch_commands(self) -> None:
        """Where another node commands the robot too: hold once more, let go of it, and end."""
        if self.commands.taken and (contested := self.commands.contested()):
            if self._last is not None:
                self._hold()
            self.commands.let_go()
            self._give_up(f"{summary(contested)}: held, and let go of")

    def _observe(self, now: int) -> None:
        by = self._stall_grace.time(now)
        while (found := self.sync.sample(by)) is not None:
            if isinstance(found, Sample):
                self.loop.observe(found)

    def _send(self, outcome: Outcome) -> None:
        if outcome.command is not None:
            self._last = outcome.command.positions
            self.commands.send(self.commands.encode(outcome.command.positions, outcome.command.base))

    def on_shutdown(self) -> None:
        """Arms held where they were commanded, base at zero."""
        if self._last is not None and self.commands.taken:
            self.commands.hold_and_end(self._hold)

    def _hold(self) -> bool:
        """Send a hold; returns whether the command is still on its way to where it stays."""
        outcome = self.loop.hold(self.inputs.now_ns())
        self._send(outcome)
        return outcome.settling


def main() -> None:
    """Entry point of the executable `posture`."""
    run(Posture)


if __name__ == "__main__":
    main()
