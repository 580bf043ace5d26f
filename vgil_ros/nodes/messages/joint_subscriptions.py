"""A node's subscriptions to joint messages: one a topic, whoever of its arms reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64

MESSAGES = {"joint_state": JointState, "float32": Float32, "float64": Float64}  # by the contract's `type`


class JointSubscriptions:
    """A node's subscriptions to joint states: one for each topic, whoever of its arms reads it.

    Args:
        node: the node that listens (`rclpy.node.Node`).
        qos: of every subscription.
    """

    def __init__(self, node: Any, qos: QoSProfile) -> None:
        self._node, self._qos = node, qos
        self._takers: dict[str, list[Callable[[bytes], None]]] = {}

    def add(self, topic: str, take: Callable[[bytes], None], kind: str = "joint_state") -> None:
        """Have `take` called with the bytes of each message on a topic, of a kind as a contract has it."""
        takers = self._takers.setdefault(topic, [])
        takers.append(take)
        if len(takers) > 1:
            return

        def callback(data: bytes) -> None:
            for each in takers:
                each(data)

        self._node.create_subscription(MESSAGES[kind], topic, callback, self._qos, raw=True)
