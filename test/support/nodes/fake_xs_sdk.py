"""A pretended `xs_sdk` for one ALOHA arm: `python -m support.nodes.fake_xs_sdk NAME follower|leader [--camera TOPIC]`.

It behaves as Interbotix' real driver was found to do: its services answer "done" whatever happened; registers are known
by their exact names; a servo in error gives none; a reboot keeps it busy for a second; without its servos it publishes
the zero count with fresh stamps; it begins and ends with the torque off. It obeys lines on standard input, each
answered by a line `done ...`:

    unplug | plug          the servos' cable
    hand P,P,...           (a leader without torque) a hand takes it there
    place P,P,...          (without torque) it lies there at once
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
from typing import Any

import numpy as np
import rclpy
from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
from interbotix_xs_msgs.srv import OperatingModes, Reboot, RegisterValues, RobotInfo, TorqueEnable
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState

from support.nodes.fake_servo import OVERHEATING, Servo

ARM = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
LOWER = (-3.14158, -1.85005, -1.76278, -3.14158, -1.86750, -3.14158)
UPPER = (3.14158, 1.25664, 1.60570, 3.14158, 2.23402, 3.14158)
SLEEP = (0.0, -2.05, 1.7, 0.0, -2.0, 0.0)
SISTERS = {"shoulder": "shoulder_shadow", "elbow": "elbow_shadow"}
MODES = {"position": 3, "linear_position": 3, "ext_position": 4, "current_based_position": 5, "pwm": 16}
FINGERS_MEET = 0.58  # rad, of a follower
HORN, ROD = 0.022, 0.036  # m, of the gripper's linkage
HAND = 2.5  # rad/s
PERIOD, FAILED_READ, MODE_S, REBOOT_S = 0.01, 0.036, 0.05, 1.0


def linear_to_radian(metres: float) -> float:
    """As the driver converts a finger's travel; what no linkage can reach is no number."""
    half = metres / 2
    cosine = (HORN**2 + half**2 - ROD**2) / (2 * HORN * half) if half else math.inf
    return math.nan if abs(cosine) > 1 else math.pi / 2 - math.acos(cosine)


class FakeXsSdk(Node):
    """One arm's driver and its servos."""

    def __init__(self, name: str, leads: bool) -> None:
        super().__init__("xs_sdk", namespace=name)
        self.leads = leads
        rest = SLEEP if not leads else (None,) * 6
        self.servos = {joint: Servo(at, rest=low) for joint, at, low in zip(ARM, SLEEP, rest, strict=True)}
        self.servos["gripper"] = Servo(0.9 if not leads else 0.1, stop=None if leads else FINGERS_MEET)
        self.servos |= {shadow: Servo(0.0) for shadow in SISTERS.values()}
        self.modes = dict.fromkeys(self.servos, "position")
        self.set_mode("gripper", "pwm" if leads else "linear_position", torque=False)
        self.group_mode = "position"
        self.hand: list[float] | None = None
        self.unplugged = False
        self.orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._said: dict[str, bool] = {}
        self._told = math.nan
        self._stepped = time.monotonic()
        self.publisher = self.create_publisher(JointState, "joint_states", 10)
        self.create_subscription(JointGroupCommand, "commands/joint_group", self.on_group, 10)
        self.create_subscription(JointSingleCommand, "commands/joint_single", self.on_single, 10)
        self.create_service(RobotInfo, "get_robot_info", self.on_info)
        self.create_service(OperatingModes, "set_operating_modes", self.on_modes)
        self.create_service(TorqueEnable, "torque_enable", self.on_torque)
        self.create_service(Reboot, "reboot_motors", self.on_reboot)
        self.create_service(RegisterValues, "get_motor_registers", self.on_read)
        self.create_service(RegisterValues, "set_motor_registers", self.on_write)
        self.create_timer(PERIOD, self.turn)

    def turn(self) -> None:
        """Move the servos, and publish what can be read of them."""
        while not self.orders.empty():
            self.obey(self.orders.get())
        now = time.monotonic()
        dt, self._stepped = min(now - self._stepped, 0.1), now
        for joint, servo in self.servos.items():
            servo.step(dt)
            self.tell(joint, servo)
        self.follow_hand(dt)
        for joint, shadow in SISTERS.items():
            self.servos[shadow].position = self.servos[joint].position
        if self.unplugged:
            time.sleep(FAILED_READ)
        names = (*ARM, "gripper")
        at = [-math.pi if self.unplugged else self.servos[joint].position for joint in names]
        finger = 0.0440 + (at[-1] - 0.6197) * (0.0579 - 0.0440) / (1.6214 - 0.6197)
        message = JointState(name=[*names, "left_finger", "right_finger"], position=[*at, finger, -finger])
        message.velocity = [0.0] * 9
        message.effort = [0.0] * 9
        message.header.stamp = self.get_clock().now().to_msg()
        self.publisher.publish(message)

    def follow_hand(self, dt: float) -> None:
        """A hand takes the joints that have no torque."""
        for joint, to in zip((*ARM, "gripper"), self.hand or (), strict=False):
            servo = self.servos[joint]
            if not servo.torque:
                servo.position += max(-HAND * dt, min(HAND * dt, to - servo.position))

    def tell(self, joint: str, servo: Servo) -> None:
        """Say what has changed."""
        if self._said.get(joint, False) != servo.torque:
            self._said[joint] = servo.torque
            print(f"torque {joint} {'on' if servo.torque else 'off'} at {servo.position:.3f}", flush=True)

    def obey(self, line: str) -> None:
        """Take a line of standard input."""
        what, *values = line.split()
        if what in ("unplug", "plug"):
            self.unplugged = what == "unplug"
        elif what == "hand":
            self.hand = [float(part) for part in values[0].split(",")]
        elif what == "place":
            for joint, part in zip((*ARM, "gripper"), values[0].split(","), strict=True):
                self.servos[joint].position = float(part)
        elif what == "hot":
            self.servos[values[0]].registers["Present_Temperature"] = int(values[1])
        elif what in ("off", "dead"):
            self.servos[values[0]].dead = what == "dead"
            self.servos[values[0]].fail(OVERHEATING)
        elif what == "cool":
            for servo in self.servos.values():
                servo.dead, servo.registers["Present_Temperature"] = False, 35
        print(f"done {line}", flush=True)

    def on_group(self, message: JointGroupCommand) -> None:
        """A command to the arm."""
        if len(message.cmd) == len(ARM) and not self.unplugged:
            for joint, value in zip(ARM, message.cmd, strict=True):
                self.servos[joint].command(float(value))

    def on_single(self, message: JointSingleCommand) -> None:
        """A command to one joint."""
        value = float(message.cmd)
        if self.modes[message.name] == "linear_position":
            value = linear_to_radian(value)
        if not self.unplugged:
            self.servos[message.name].command(value)
        goal = self.servos[message.name].goal
        if message.name == "gripper" and not abs(goal - self._told) < 0.3:  # not each of a hundred a second
            self._told = goal
            print(f"gripper goal {goal:.3f}", flush=True)

    def motors(self, request: Any) -> tuple[str, ...]:
        """The joints that a request is about; a name that is unknown ends the driver, as `map::at` does."""
        if request.cmd_type == "group":
            return ARM if request.name == "arm" else (*ARM, "gripper")
        if request.name not in self.servos:
            print(f"terminate called after throwing an instance of 'std::out_of_range': {request.name}", flush=True)
            os._exit(134)
        return (request.name,)

    def on_info(self, request: Any, response: Any) -> Any:
        """Names, limits and the mode that it remembers; no servo is asked."""
        names = self.motors(request)
        single = request.cmd_type == "single"
        response.mode = self.modes[names[0]] if single else self.group_mode
        response.profile_type, response.joint_names, response.num_joints = "velocity", list(names), len(names)
        known = [ARM.index(joint) if joint in ARM else None for joint in names]
        response.joint_lower_limits = [0.0 if i is None else LOWER[i] for i in known]
        response.joint_upper_limits = [0.0 if i is None else UPPER[i] for i in known]
        response.joint_velocity_limits = [math.pi] * len(names)
        response.joint_sleep_positions = [0.0 if i is None else SLEEP[i] for i in known]
        return response

    def set_mode(self, joint: str, mode: str, *, torque: bool = True, profile: tuple[int, int] = (0, 0)) -> None:
        """A joint and the motor beside it: torque off, the mode, torque on."""
        sisters = [joint, *([SISTERS[joint]] if joint in SISTERS else [])]
        for name in sisters:
            servo = self.servos[name]
            servo.write("Torque_Enable", 0)
            servo.write("Operating_Mode", MODES[mode])
            if MODES[mode] == MODES["position"]:
                servo.write("Profile_Velocity", profile[0])
                servo.write("Profile_Acceleration", profile[1])
            servo.write("Torque_Enable", int(torque))
            self.modes[name] = mode

    def on_modes(self, request: Any, response: Any) -> Any:
        """Operating modes, one joint after the other."""
        for joint in self.motors(request):
            time.sleep(MODE_S)
            profile = (request.profile_velocity, request.profile_acceleration)
            if request.mode in MODES and not self.unplugged:
                self.set_mode(joint, request.mode, profile=profile)
        if request.cmd_type == "group":
            self.group_mode = request.mode
        return response

    def write(self, joint: str, name: str, value: int) -> None:
        """Write a register; the motor beside a joint hears what is written to that one."""
        for one in (joint, SISTERS.get(joint)):
            if one is not None and not self.unplugged:
                self.servos[one].write(name, value)

    def on_torque(self, request: Any, response: Any) -> Any:
        """Torque."""
        for joint in self.motors(request):
            self.write(joint, "Torque_Enable", int(request.enable))
        return response

    def on_reboot(self, request: Any, response: Any) -> Any:
        """A reboot: nothing else happens meanwhile."""
        for joint in self.motors(request):
            if request.smart_reboot and not self.servos[joint].registers["Hardware_Error_Status"]:
                continue
            time.sleep(REBOOT_S)
            self.servos[joint].reboot()
            self.servos[joint].write("Torque_Enable", int(request.enable))
        return response

    def on_read(self, request: Any, response: Any) -> Any:
        """Registers; nothing at all where one servo does not give its own."""
        values = [None if self.unplugged else self.servos[joint].read(request.reg) for joint in self.motors(request)]
        response.values = [] if None in values else values
        return response

    def on_write(self, request: Any, response: Any) -> Any:
        """Registers; "done" whatever comes of it."""
        for joint in self.motors(request):
            self.write(joint, request.reg, request.value)
        return response


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
