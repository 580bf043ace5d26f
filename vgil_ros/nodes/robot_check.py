"""Listens to a robot for a few seconds, as the recorder would, and reports what it heard. It publishes nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import rclpy
from rclpy.context import Context

from vgil_ros.core.contract import Contract
from vgil_ros.core.frame import Frame
from vgil_ros.core.streams import StreamSpec, streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.nodes.base.node import VgilNode, make_ros_executor
from vgil_ros.nodes.messages.subscriptions import StreamInputs
from vgil_ros.robots.robot_check import Heard, RobotFinding, check_robot

LOOK_S = 0.1
MOST_WRONG = 0.6  # of the looks, the first of which come before anything can have been heard


class Listener(VgilNode):
    """Subscribes to each stream of a contract."""

    def __init__(self, context: Context, contract: Contract) -> None:
        super().__init__(f"_vgil_robot_check_{os.getpid()}", context=context)
        self.contract = contract
        self.streams = streams_of(contract)
        self.sync = Synchronizer(self.streams, contract.sync, contract.rate_hz)
        self.inputs = StreamInputs(self, contract, self.sync)
        self._offsets: dict[str, float] = {}
        self._looks = 0
        self._wrong: dict[str, list[str]] = {}  # what stood against a stream, at each look
        self.background_timer(LOOK_S, self._look_around)

    def warn_once(self, key: str, message: str) -> None:
        """Nothing: the report says it."""

    def clear(self, key: str) -> None:
        """Nothing: the report says it."""

    def look(self) -> None:
        """Called between messages: how far stamps are from now, at the least."""
        now = self.now_ns()
        for name, age_ns in self.sync.ages(now).items():
            if age_ns is not None:
                self._offsets[name] = min(self._offsets.get(name, float("inf")), age_ns / 1e6)

    def _look_around(self) -> None:
        """What stands against each stream now; a machine that is busy may keep all of them waiting for a moment."""
        now = self.now_ns()
        wrong = {problem.key.split(" ")[0]: problem.detail for problem in self.inputs.missing(now)}
        wrong |= {name: f"{name}: {words}" for name, words in self.sync.refusals.standing(now).items()}
        self._looks += 1
        for name, words in wrong.items():
            self._wrong.setdefault(name, []).append(words)

    def findings(self) -> list[RobotFinding]:
        """What was heard, judged."""
        now = self.now_ns()
        self._look_around()
        wrong = {name: words[-1] for name, words in self._wrong.items() if len(words) > MOST_WRONG * self._looks}
        heard = {spec.name: self._heard(spec, wrong.get(spec.name), now) for spec in self.streams}
        for problem in self.inputs.duplicate_publishers():
            name = problem.detail.split(":")[0]
            heard[name] = Heard(heard[name].rate_hz, problem.detail)
        topics = [self.resolve_topic_name(arm.command.topic) for arm in self.contract.arms]
        if self.contract.base:
            topics.append(self.resolve_topic_name(self.contract.base.command.topic))
        unheard = [topic for topic in topics if not self.count_subscribers(topic)]
        return check_robot(self.contract, self.streams, heard, unheard)

    def _heard(self, spec: StreamSpec, wrong: str | None, now: int) -> Heard:
        rate, newest = self.inputs.rate(spec.name, now), self.sync.newest(spec.name)
        if newest is None:
            return Heard(rate, wrong or f"{spec.name}: nothing received")
        payload, offset = newest[1], self._offsets.get(spec.name)
        if isinstance(payload, Frame):
            return Heard(rate, wrong, offset, None, f"{payload.height}x{payload.width} {payload.encoding}")
        count = payload.shape[-1]
        content = f"{count} joints" if payload.ndim > 1 else ""
        return Heard(rate, wrong, offset, payload if payload.ndim > 1 else None, content)


def listen(contract: Contract, seconds: float, progress: Callable[[float], None]) -> list[RobotFinding]:
    """Listen to a robot, and judge it.

    Args:
        contract: the robot.
        seconds: for how long.
        progress: called now and then with the seconds that have passed.
    """
    context = Context()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    executor = make_ros_executor(context)
    node = Listener(context, contract)
    executor.add_node(node)
    try:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            node.spin_once(executor)
            node.look()
            progress(passed)
        return node.findings()
    finally:
        node.destroy_node()
        rclpy.try_shutdown(context=context)
