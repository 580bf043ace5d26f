"""Prints every command to a robot, one JSON line a message: `python -m support.nodes.command_listener CONTRACT.yaml`.

{"at": time.monotonic of its arrival, "stamp": header's stamp in ns or 0, "topic": ..., "values": [...]}. Values are
joint positions in the contract's order and the robot's units, or the base's m/s and rad/s.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import rclpy
from geometry_msgs.msg import Twist
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState

from vgil_ros.assets import load_contract


def printer(topic: str, values: Callable[[Any], list[float]]) -> Callable[[Any], None]:
    """A callback that prints a message."""

    def callback(message: Any) -> None:
        at = time.monotonic()
        stamp = message.header.stamp if hasattr(message, "header") else None
        line = {
            "at": at,
            "stamp": stamp.sec * 10**9 + stamp.nanosec if stamp else 0,
            "topic": topic,
            "values": values(message),
        }
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    return callback


def positions(joints: tuple[str, ...]) -> Callable[[JointState], list[float]]:
    """Reads a JointState in the order of the contract."""
    return lambda message: [message.position[list(message.name).index(joint)] for joint in joints]


def main() -> None:
    """Listen until standard input ends the process."""
    contract, _ = load_contract(sys.argv[1])
    rclpy.init()
    node = Node("command_listener")
    for arm in contract.arms:
        node.create_subscription(
            JointState, arm.command.topic, printer(arm.command.topic, positions(arm.command_joints)), 1000
        )
    if contract.base:
        topic = contract.base.command.topic
        node.create_subscription(Twist, topic, printer(topic, lambda m: [m.linear.x, m.angular.z]), 1000)
    print("listening", flush=True)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    executor.spin()


if __name__ == "__main__":
    main()
