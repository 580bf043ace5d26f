"""Asks the controller behind a `float64_multi_array` topic for its parameter `joints`: by position is by trust else."""

from __future__ import annotations

import math
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
        self._names: list[str] = []  # of the nodes that listen
        self._since_s: dict[str, float] = {}  # by the node's name: when it was found, or asked
        self._asked: dict[str, Any] = {}  # the client, None once the question is on its way
        self._told: dict[str, tuple[str, ...]] = {}  # what a node has said, () that it has no such parameter
        self._said: set[str] = set()  # of whom it was said that they do not tell

    @property
    def unheard(self) -> bool:
        """Whether nobody listens: then its order is not known either."""
        return not self._names

    @property
    def waiting(self) -> bool:
        """Whether an answer is waited for."""
        return not self.known and any(map(self._awaited, self._names))

    @property
    def known(self) -> bool:
        """Whether a controller that listens has told its joints."""
        return any(self._told.values())

    @property
    def untold(self) -> str:
        """In words: that none of those who listen says."""
        if self.unheard or self.known or self.waiting:
            return ""
        return (
            f"{self.arm}/command: {', '.join(self._names)} does not tell its `joints`: that it takes"
            f" {list(self._joints)} in this order is not checked"
        )

    def problem(self) -> Problem | None:
        """Why the command is not to be used: nobody takes it, other joints, another order, or an answer is awaited."""
        wrong = self.mismatch()
        if self.unheard:
            return Problem(f"{self._topic} unheard", f"nobody listens on {self._topic}")
        if wrong is None and self.waiting:
            words = f"{self.arm}/command: asking {', '.join(self._names)} for its joints"
            return Problem(f"{self._topic} asked", words)
        if self.untold and not self._said.issuperset(self._names):
            self._said.update(self._names)
            self._node.log(self.untold, severity="warning")
        return wrong

    def mismatch(self) -> Problem | None:
        """That a controller takes other joints, or another order, as far as is known by now; it is asked meanwhile."""
        self._names = self._listeners()
        self._drop()
        for name, joints in self._told.items():
            if joints and (words := disorder(self._joints, joints)) is not None:
                return Problem(f"{self._topic} order", f"{self.arm}/command: {name} {words}; allowed: its own order")
        self._ask()
        return None

    def _awaited(self, name: str) -> bool:
        return name not in self._told and time.monotonic() - self._since_s.get(name, math.inf) < PATIENCE_S

    def _drop(self) -> None:
        """Nothing is known of a node that has left: one that comes later under its name is asked anew."""
        for name in set(self._since_s) - set(self._names):
            self._since_s.pop(name)
            self._told.pop(name, None)
            self._said.discard(name)
            if (client := self._asked.pop(name, None)) is not None:
                self._node.destroy_client(client)

    def _listeners(self) -> list[str]:
        infos = self._node.get_subscriptions_info_by_topic(self._topic)
        return sorted({full_name(info.node_namespace, info.node_name) for info in infos})

    def _ask(self) -> None:
        for listener in self._names:
            self._since_s.setdefault(listener, time.monotonic())
            if listener == UNKNOWN or (listener in self._asked and self._asked[listener] is None):
                continue
            if listener not in self._asked:
                self._asked[listener] = self._node.create_client(GetParameters, listener + SERVICE)
            client = self._asked[listener]
            if client.service_is_ready():
                self._asked[listener], self._since_s[listener] = None, time.monotonic()
                future = client.call_async(GetParameters.Request(names=[PARAMETER]))
                future.add_done_callback(partial(self._on_answer, listener, client))

    def _on_answer(self, name: str, client: Any, done: Any) -> None:
        values = done.result().values
        named = bool(values) and values[0].type == ParameterType.PARAMETER_STRING_ARRAY
        if name in self._since_s:  # else it has left
            self._told[name] = tuple(values[0].string_array_value) if named else ()
        self._node.destroy_client(client)


def array_orders(node: VgilNode, layout: Layout, arms: Collection[int]) -> list[ArrayOrder]:
    """One for each of these arms, by index, that is commanded by position."""
    chosen = [layout.arms[i].arm for i in arms if layout.arms[i].arm.command.type == "float64_multi_array"]
    return [ArrayOrder(node, a.name, node.resolve_topic_name(a.command.topic), a.own_joints) for a in chosen]
