"""A pretended `xs_sdk` for one ALOHA arm: `python -m support.nodes.fake_xs_sdk NAME follower|leader [--camera TOPIC]`.

It behaves as Interbotix' real driver was found to (`support.nodes.fake_xs_driver`); without its servos it publishes the
zero count with fresh stamps, at 28 Hz; it begins and ends with the torque off. It obeys lines on standard input, each
answered by a line `done ...`:

    unplug | plug          the servos' cable
    hand P,P,...           (a leader without torque) a hand takes it there
    hot MOTOR DEGREES      a motor warms up
    off MOTOR | dead MOTOR a motor switches itself off; a dead one also after a reboot
    cool                   every motor is at 35 degrees, and none dead

What its servos do is told, line by line: `torque MOTOR on|off at POSITION`, `gripper goal RAD`.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from interbotix_xs_msgs.srv import OperatingModes, Reboot, RegisterValues, RobotInfo, TorqueEnable
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from support.nodes.fake_xs_driver import JOINTS, UnknownMotor, XsDriver

PERIOD, FAILED_READ = 0.02, 0.036  # half as often as the real one: tests share a machine
GOAL_NEWS = 0.3  # rad; not each of a hundred goals a second is told
SERVICES = {
    "get_robot_info": RobotInfo,
    "set_operating_modes": OperatingModes,
    "torque_enable": TorqueEnable,
    "reboot_motors": Reboot,
    "get_motor_registers": RegisterValues,
    "set_motor_registers": RegisterValues,
}


class FakeXsSdk(Node):
    """One arm's driver on its topics and services."""

    def __init__(self, name: str, leads: bool) -> None:
        super().__init__("xs_sdk", namespace=name)
        self.driver = XsDriver(leads=leads)
        self.orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._torque: dict[str, bool] = {}
        self._goal = math.nan
        self._stepped = time.monotonic()
        self.publisher = self.create_publisher(JointState, "joint_states", 10)
        self.create_subscription(JointGroupCommand, "commands/joint_group", self.on_group, 10)
        self.create_subscription(JointSingleCommand, "commands/joint_single", self.on_single, 10)
        for service, kind in SERVICES.items():
            self.create_service(kind, service, self.answering(getattr(self.driver, service)))
        self.create_timer(PERIOD, self.turn)

    def answering(self, answer: Callable[[Any], dict[str, Any]]) -> Callable[[Any, Any], Any]:
        """A service's callback; a motor that there is not ends the process, as it does the driver's."""

        def callback(request: Any, response: Any) -> Any:
            try:
                fields = answer(request)
            except UnknownMotor as error:
                print(f"terminate called after throwing an instance of 'std::out_of_range': {error}", flush=True)
                os._exit(134)
            for key, value in fields.items():
                setattr(response, key, value)
            return response

        return callback

    def turn(self) -> None:
        """Move the servos, and publish what can be read of them."""
        while not self.orders.empty():
            line = self.orders.get()
            self.driver.obey(line)
            print(f"done {line}", flush=True)
        now = time.monotonic()
        self.driver.step(min(now - self._stepped, 0.1))
        self._stepped = now
        for joint, servo in self.driver.servos.items():
            if self._torque.get(joint, False) != servo.torque:
                self._torque[joint] = servo.torque
                print(f"torque {joint} {'on' if servo.torque else 'off'} at {servo.position:.3f}", flush=True)
        if self.driver.unplugged:
            time.sleep(FAILED_READ)
        at = self.driver.positions()
        finger = 0.0440 + (at[-1] - 0.6197) * (0.0579 - 0.0440) / (1.6214 - 0.6197)
        message = JointState(name=[*JOINTS, "left_finger", "right_finger"], position=[*at, finger, -finger])
        message.velocity, message.effort = [0.0] * 9, [0.0] * 9
        message.header.stamp = self.get_clock().now().to_msg()
        self.publisher.publish(message)

    def on_group(self, message: JointGroupCommand) -> None:
        """A command to the arm."""
        self.driver.command_group([float(value) for value in message.cmd])

    def on_single(self, message: JointSingleCommand) -> None:
        """A command to one joint."""
        self.driver.command_single(message.name, float(message.cmd))
        goal = self.driver.servos[message.name].goal
        if message.name == "gripper" and not abs(goal - self._goal) < GOAL_NEWS:
            self._goal = goal
            print(f"gripper goal {goal:.3f}", flush=True)


def film(node: Node, topic: str) -> None:
    """A small camera beside the arm."""
    publisher, random = node.create_publisher(Image, topic, 10), np.random.default_rng(0)

    def shoot() -> None:
        pixels = random.integers(0, 255, (48, 64, 3), np.uint8)
        message = Image(height=48, width=64, encoding="rgb8", step=192, data=pixels.tobytes())
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)

    node.create_timer(1 / 30, shoot)


def listen(node: FakeXsSdk) -> None:
    """Hand on what is typed."""
    for line in sys.stdin:
        node.orders.put(line.strip())


def main() -> None:
    """Run until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("role", choices=("follower", "leader"))
    parser.add_argument("--camera")
    given = parser.parse_args()
    rclpy.init()
    node = FakeXsSdk(given.name, given.role == "leader")
    executors = [SingleThreadedExecutor()]
    executors[0].add_node(node)
    if given.camera:
        camera = Node("camera")
        film(camera, given.camera)
        executors.append(SingleThreadedExecutor())
        executors[1].add_node(camera)
        threading.Thread(target=executors[1].spin, daemon=True).start()
    threading.Thread(target=listen, args=(node,), daemon=True).start()
    print(f"ready {given.name}", flush=True)
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        executors[0].spin()


if __name__ == "__main__":
    main()
