"""Asks the controller behind a `float64_multi_array` topic for its parameter `joints`: by position is by trust else."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from typing import Any

from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import GetParameters

from vgil_ros.core.graph.commanders import UNKNOWN, full_name
from vgil_ros.core.graph.controller_joints import disorder
from vgil_ros.core.layout import Layout
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode

SERVICE = "/get_parameters"  # that every node has
PARAMETER = "joints"  # of ros2_control's forward command and joint group controllers
PATIENCE_S = 2.0  # for an answer, and for the names of nodes that have just been found


class ArrayOrder:
    """What is known of one topic. To be looked at again and again before it is used.

    Args:
        node: the node that asks.
        arm: whose command it is.
        topic: the command's, in full.
        joints: in the order in which their values are sent.
    """

    def __init__(self, node: VgilNode, arm: str, topic: str, joints: tuple[str, ...]) -> None:
        self.arm = arm
        self._node, self._topic, self._joints = node, topic, joints
        self._forget()

    def _forget(self) -> None:
        self._since_s: float | None = None  # when it was asked first
        self._asked: dict[str, Any] = {}  # by the node's name: the client
        self._told: dict[str, tuple[str, ...]] = {}  # what a node has said, () that it has no such parameter
        self.untold = ""  # in words: that nobody says

    @property
    def waiting(self) -> bool:
        """Whether an answer is waited for."""
        return self._since_s is not None and not (self.known or self.untold)

    @property
    def known(self) -> bool:
        """Whether a controller has told its joints."""
        return any(self._told.values())

    def problem(self) -> Problem | None:
        """Why the command is not to be used: other joints, another order, or that an answer is waited for."""
        names = self._listeners()
        if not names:
            self._forget()
            return None
        for name, joints in self._told.items():
            if joints and name in names and (words := disorder(self._joints, joints)) is not None:
                return Problem(f"{self._topic} order", f"{self.arm}/command: {name} {words}; allowed: its own order")
        if self.known or self.untold:
            return None
        self._since_s = time.monotonic() if self._since_s is None else self._since_s
        self._ask(names)
        if set(self._told) >= set(names) or time.monotonic() - self._since_s > PATIENCE_S:
            self._nobody_tells(names)
            return None
        return Problem(f"{self._topic} order", f"{self.arm}/command: asking {', '.join(names)} for its joints")

    def _listeners(self) -> list[str]:
        infos = self._node.get_subscriptions_info_by_topic(self._topic)
        return sorted({full_name(info.node_namespace, info.node_name) for info in infos})

    def _ask(self, names: list[str]) -> None:
        for listener in names:
            if listener == UNKNOWN or (listener in self._asked and self._asked[listener] is None):
                continue
            if listener not in self._asked:
                self._asked[listener] = self._node.create_client(GetParameters, listener + SERVICE)
            client = self._asked[listener]
            if client.service_is_ready():
                self._asked[listener] = None
                future = client.call_async(GetParameters.Request(names=[PARAMETER]))
                future.add_done_callback(partial(self._on_answer, listener, client))

    def _on_answer(self, name: str, client: Any, done: Any) -> None:
        values = done.result().values
        named = bool(values) and values[0].type == ParameterType.PARAMETER_STRING_ARRAY
        self._told[name] = tuple(values[0].string_array_value) if named else ()
        self._node.destroy_client(client)

    def _nobody_tells(self, names: list[str]) -> None:
        words = (
            f"{self.arm}/command: {', '.join(names)} does not tell its `joints`: that it takes"
            f" {list(self._joints)} in this order is not checked"
        )
        self.untold = words
        self._node.log(words, severity="warning")


def array_orders(node: VgilNode, layout: Layout, arms: Collection[int]) -> list[ArrayOrder]:
    """One for each of these arms, by index, that is commanded by position."""
    chosen = [layout.arms[i].arm for i in arms if layout.arms[i].arm.command.type == "float64_multi_array"]
    return [ArrayOrder(node, a.name, node.resolve_topic_name(a.command.topic), a.own_joints) for a in chosen]
