"""A tool's ear on a robot: every stream of a contract subscribed to as the recorder does, for a few seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import rclpy
from rclpy.context import Context
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from vgil_ros.core.contract import Contract
from vgil_ros.core.graph.commanders import UNKNOWN, full_name
from vgil_ros.core.streams import StreamSpec, actions_of, commands_of, streams_of
from vgil_ros.core.sync import Synchronizer
from vgil_ros.nodes.base.node import VgilNode, make_ros_executor
from vgil_ros.nodes.messages.subscriptions import StreamInputs, sensor_qos
from vgil_ros.nodes.query.client import small_segments

CLOCK = "/clock"
PATIENCE = 3  # times the seconds asked for, while the middleware has not found all that is there
T = TypeVar("T")


class RobotListener(VgilNode):
    """Hears a robot and publishes nothing. Its name begins as a tool's does.

    Args:
        context: of rclpy.
        contract: the robot.
        namespace: of its nodes, "/r2"; "" for none.
        clock: the topic by which it tells the time; None: by the computer's clock.
        streams: what is listened to; everything by default.

    Attributes:
        other_clock: a clock's topic on which something was heard, where the computer's is used.
    """

    tool = "listener"

    def __init__(
        self,
        context: Context,
        contract: Contract,
        namespace: str,
        clock: str | None,
        streams: tuple[StreamSpec, ...] | None = None,
    ) -> None:
        super().__init__(
            f"_vgil_{self.tool}_{os.getpid()}",
            context=context,
            namespace=namespace,
            cli_args=["--ros-args", "-r", f"{CLOCK}:={clock}"] if clock not in (None, CLOCK) else None,
            parameter_overrides=[Parameter("use_sim_time", value=clock is not None)],
        )
        self.contract = contract
        self.streams = streams_of(contract) if streams is None else streams
        self.sync = Synchronizer(self.streams, contract.sync, contract.rate_hz, simulated=self.simulated)
        self.inputs = StreamInputs(self, contract, self.sync)
        self.other_clock: str | None = None
        if clock is None:
            for topic in dict.fromkeys((f"{namespace}{CLOCK}", CLOCK)):  # a simulator's lies in its namespace
                self.create_subscription(Clock, topic, partial(self._on_clock, topic), sensor_qos(1))

    def log(self, words: str, *, severity: Any = "info") -> None:
        """Nothing: the report says it."""

    def look(self) -> None:
        """Called between messages."""

    def publishers_of(self, topic: str) -> tuple[str, ...]:
        """The nodes that publish a topic, in full."""
        found = self.get_publishers_info_by_topic(topic)
        return tuple(sorted(full_name(info.node_namespace, info.node_name) for info in found))

    def still_finding(self) -> bool:
        """Whether a publisher is known whose messages or whose node's name have not come yet."""
        waiting = False
        for spec in self.streams:
            names = self.publishers_of(self.resolve_topic_name(spec.topic))
            waiting |= UNKNOWN in names or (bool(names) and self.sync.newest(spec.name) is None)
        return waiting

    def commands(self) -> list[tuple[str, str, int]]:
        """(name, topic in full, how many listen on it) of each command that a node of ours may give."""
        actions = actions_of(self.contract)
        found = []
        for name, given in commands_of(self.contract):
            topic = self.resolve_topic_name(given)
            served = self.count_services(f"{topic}/_action/send_goal") if given in actions else None
            found.append((name, topic, self.count_subscribers(topic) if served is None else served))
        return found

    def _on_clock(self, topic: str, message: Clock) -> None:
        if self.other_clock != f"{self.get_namespace().rstrip('/')}{CLOCK}":  # which goes before everybody's
            self.other_clock = topic


L = TypeVar("L", bound=RobotListener)


def listen_to(
    make: Callable[[Context, str | None], L],
    seconds: float,
    progress: Callable[[float], None],
    report: Callable[[L], T],
) -> T:
    """Listen to a robot for so many seconds, and return a report of it.

    Where a clock is published, as by a simulator that is not bound to real time, stamps are of its time. So are the
    nodes of that robot; and the listening begins anew by that clock.

    Args:
        make: the node that listens, in a context, by a clock (None: the computer's).
        seconds: to listen.
        progress: called now and then with the seconds that have passed.
        report: made of the node at the end.
    """
    small_segments()
    context = Context()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    try:
        clock: str | None = None
        while True:
            node = make(context, clock)
            try:
                _spin(node, seconds, progress)
                if clock is not None or node.other_clock is None:
                    return report(node)
                clock = node.other_clock
            finally:
                node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)


def _spin(node: RobotListener, seconds: float, progress: Callable[[float], None]) -> None:
    """Until the time is over and all that is there was found, or another clock is heard."""
    executor = make_ros_executor(node.context)
    executor.add_node(node)
    began = last = time.monotonic()
    while node.other_clock is None:
        if (now := time.monotonic()) - began > seconds * (PATIENCE if node.still_finding() else 1):
            break
        node.spin_once(executor)
        node.look()
        if now - last > 0.2:
            last = now
            progress(now - began)
    executor.remove_node(node)
