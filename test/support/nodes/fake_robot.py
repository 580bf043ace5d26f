"""A robot that can be told to misbehave: `python -m support.nodes.fake_robot CONTRACT.yaml [--clock]`.

It publishes what the contract says (joints at 100 Hz, cameras at 30 Hz) and obeys lines on standard input,
`STREAM WHAT [VALUE]`, each answered by a line `done STREAM WHAT ...`:

    stop | freeze | zero | double          no messages; the same image; stamps of zero; a second publisher
    delay S | jitter S | old S             sent later; stamps shaken by up to S; stamps S seconds old
    size HxW | encoding E                  another image
    drop J | rename J:K | reorder | nan J  another message of joints
    odd                                    every second message lacks a joint
    effort J,J,...                         velocities and efforts too; these joints' efforts are NaN
    cut N | zeros                          every Nth JPEG is cut at half; zeros behind each
    at P,P,...                             joints go there, as fast as a hand takes them, and stand
    jump P,P,...                           every message says that they are there, from one to the next
    obey [J]                               (a puppet) it goes where its contract's commands send it, but for a joint
    lost                                   every message is what a driver makes of servos that do not answer
    go                                     messages again
    well                                   all is as it should be
    joy B,B,...                            (stream `joy`) one message with these buttons
    back S                                 (stream `clock`) the clock jumps back, with all stamps
"""

from __future__ import annotations

import heapq
import queue
import sys
import threading
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import WrenchStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState, Joy

from support.nodes.signals import position
from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm, Camera, Contract, Vector
from vgil_ros.nodes.simulator.command_decoders import CommandInput, inputs_of
from vgil_ros.nodes.simulator.gripper_server import GripperServer

JOINT_HZ, CAMERA_HZ = 100.0, 30.0


def to_time(stamp_ns: int) -> Time:
    """A stamp as a message."""
    return Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)


class Stream:
    """One topic, and what is wrong with it."""

    def __init__(self, node: Node, topic: str, kind: Any, rate: float) -> None:
        self.node, self.topic, self.kind = node, topic, kind
        self.publisher: Any = node.create_publisher(kind, topic, 10)
        self.second: Any = None
        self.period = 1.0 / rate
        self.due = time.monotonic()
        self.faults: dict[str, str] = {}
        self.random = np.random.default_rng(len(topic))

    def tell(self, what: str, value: str) -> None:
        """Take a command."""
        if what == "well":
            self.faults.clear()
            if self.second is not None:
                self.node.destroy_publisher(self.second)
                self.second = None
            return
        if what == "go":
            self.faults.pop("stop", None)
            return
        self.faults[what] = value
        if what == "double":
            self.second = self.node.create_publisher(self.kind, self.topic, 10)

    def stamp(self, now_ns: int) -> int:
        """The header's stamp."""
        if "zero" in self.faults:
            return 0
        shaken = self.random.uniform(0, float(self.faults.get("jitter", 0)))
        return now_ns - int((float(self.faults.get("old", 0)) + shaken) * 1e9)

    def message(self, now_ns: int) -> Any:
        """The message that is due."""
        raise NotImplementedError


HAND = 2.5  # velocity limits, at which a person takes joints along


class Joints(Stream):
    """A JointState that follows `signals.position`."""

    def __init__(self, node: Node, topic: str, arm: Arm, *, master: bool) -> None:
        super().__init__(node, topic, JointState, JOINT_HZ)
        self.arm, self.master = arm, master
        self.names = arm.master_joints if master else arm.puppet_joints
        self.count = 0
        self.where: tuple[list[float], float] | None = None  # the last message's positions, and when that was

    def tell(self, what: str, value: str) -> None:
        """Take a command; one who is to obey listens from then on."""
        if what == "obey" and "obey" not in self.faults:
            for given in inputs_of(self.arm):
                if given.is_action:
                    GripperServer(self.node, given, self._held, self._stands, self._go)
                else:
                    self.node.create_subscription(given.type, given.topic, partial(self._sent, given), 10)
        super().tell(what, value)

    def _held(self) -> np.ndarray:
        return (
            np.array([float(part) for part in self.faults["at"].split(",")]) if "at" in self.faults else self._stands()
        )

    def _stands(self) -> np.ndarray:
        assert self.where is not None
        return np.array(self.where[0])

    def _sent(self, given: CommandInput, message: Any) -> None:
        self._go(given.decode(message, self._held()))

    def _go(self, position: np.ndarray) -> None:
        if (stuck := self.faults.get("obey", "")) in self.names:
            position[self.names.index(stuck)] = self._stands()[self.names.index(stuck)]
        self.faults["at"] = ",".join(map(str, position.tolist()))

    def message(self, now_ns: int) -> JointState:
        stamp = self.stamp(now_ns)
        values = [float(position(i, now_ns, master=self.master)) for i in range(len(self.arm.joints))]
        if "at" in self.faults:
            values = [float(part) for part in self.faults["at"].split(",")]
        values = self._taken_there(values)
        if "jump" in self.faults:
            values = [float(part) for part in self.faults["jump"].split(",")]
        if "lost" in self.faults:
            values = [-3.14159] * len(values)
        pairs = list(zip(self.names, values, strict=True))
        if "nan" in self.faults:
            pairs = [(name, float("nan") if name == self.faults["nan"] else value) for name, value in pairs]
        if "odd" in self.faults:
            self.count += 1
            pairs = pairs[self.count % 2 :]
        if "drop" in self.faults:
            pairs = [pair for pair in pairs if pair[0] != self.faults["drop"]]
        if "rename" in self.faults:
            old, new = self.faults["rename"].split(":")
            pairs = [(new if name == old else name, value) for name, value in pairs]
        if "reorder" in self.faults:
            pairs = [("extra", 9.0), *reversed(pairs)]
        message = JointState(name=[name for name, _ in pairs], position=[value for _, value in pairs])
        if "effort" in self.faults:
            unmeasured = self.faults["effort"].split(",")
            message.velocity = [0.1 * i for i in range(len(pairs))]
            message.effort = [float("nan") if name in unmeasured else value for name, value in pairs]
        message.header.stamp = to_time(stamp)
        return message

    def _taken_there(self, goal: list[float]) -> list[float]:
        """On the way from the message before, grippers at once: a robot is nowhere else all of a sudden."""
        now = time.monotonic()
        if self.where is not None:
            before, then = self.where
            gripper = self.arm.gripper.joint if self.arm.gripper else None
            limits = zip(self.arm.joints, self.arm.limits.velocity, strict=True)
            steps = [float("inf") if joint == gripper else HAND * most * (now - then) for joint, most in limits]
            goal = [at + min(max(to - at, -step), step) for at, to, step in zip(before, goal, steps, strict=True)]
        self.where = goal, now
        return goal


class Images(Stream):
    """Noise on an image whose left half is red and whose right half is blue."""

    def __init__(self, node: Node, camera: Camera) -> None:
        kind = CompressedImage if camera.type == "compressed" else Image
        super().__init__(node, camera.topic, kind, CAMERA_HZ)
        self.camera = camera
        self.last: np.ndarray | None = None
        self.count = 0

    def pixels(self) -> np.ndarray:
        height, width = self.camera.height, self.camera.width
        if "size" in self.faults:
            height, width = map(int, self.faults["size"].split("x"))
        if "freeze" in self.faults and self.last is not None:
            return self.last
        base = np.zeros((height, width, 3), np.uint8)
        base[:, : width // 2, 0] = base[:, width // 2 :, 2] = 180
        self.last = base + self.random.integers(0, 30, base.shape, np.uint8)
        return self.last

    def message(self, now_ns: int) -> Any:
        pixels, stamp = self.pixels(), to_time(self.stamp(now_ns))
        if self.camera.type == "compressed":
            jpeg = cv2.imencode(".jpg", pixels[:, :, ::-1])[1].tobytes()
            self.count += 1
            if self.count % int(self.faults.get("cut", sys.maxsize)) == 0:
                jpeg = jpeg[: len(jpeg) // 2]
            if "zeros" in self.faults:
                jpeg += bytes(3000)
            message: Any = CompressedImage(format=self.faults.get("encoding", "jpeg"))
            message.data = b"\x89PNG" + jpeg[4:] if "encoding" in self.faults else jpeg
        else:
            message = Image(height=pixels.shape[0], width=pixels.shape[1], step=3 * pixels.shape[1])
            message.encoding = self.faults.get("encoding", "rgb8")
            message.data = pixels.tobytes()
        message.header.stamp = stamp
        return message


class Odometer(Stream):
    """A base that drives forward at 0.1 m/s and turns at 0.2 rad/s."""

    def __init__(self, node: Node, topic: str) -> None:
        super().__init__(node, topic, Odometry, JOINT_HZ)

    def message(self, now_ns: int) -> Odometry:
        message = Odometry()
        message.header.stamp = to_time(self.stamp(now_ns))
        message.twist.twist.linear.x = float("nan") if "nan" in self.faults else 0.1
        message.twist.twist.angular.z = 0.2
        return message


class Numbers(Stream):
    """A wrench whose numbers are seconds on a slow saw, one more each: `signals` for what is no joint."""

    def __init__(self, node: Node, vector: Vector) -> None:
        assert vector.type == "wrench", "the others are read from messages made in their own test"
        super().__init__(node, vector.topic, WrenchStamped, JOINT_HZ)

    def message(self, now_ns: int) -> WrenchStamped:
        message = WrenchStamped()
        message.header.stamp = to_time(self.stamp(now_ns))
        at = float("nan") if "nan" in self.faults else (now_ns % 10**10) / 1e10
        force, torque = message.wrench.force, message.wrench.torque
        force.x, force.y, force.z, torque.x, torque.y, torque.z = (at + i for i in range(6))
        return message


class Robot:
    """All streams, worked by one loop."""

    def __init__(self, contract: Contract, *, clock: bool) -> None:
        self.node = Node("fake_robot")
        self.clock = self.node.create_publisher(Clock, "/clock", 10) if clock else None
        self.joy = self.node.create_publisher(Joy, "/joy", 10) if contract.joystick else None
        self.offset_ns = 0
        self.streams: dict[str, Stream] = {}
        for arm in contract.arms:
            self.streams[f"{arm.name}/puppet"] = Joints(self.node, arm.puppet.topic, arm, master=False)
            if arm.master:
                self.streams[f"{arm.name}/master"] = Joints(self.node, arm.master.topic, arm, master=True)
        for camera in contract.cameras:
            self.streams[camera.name] = Images(self.node, camera)
        for vector in contract.vectors:
            self.streams[vector.name] = Numbers(self.node, vector)
        if contract.base:
            self.streams["base"] = Odometer(self.node, contract.base.odom.topic)
        self.late: list[tuple[float, int, Any, Any]] = []
        self.number = count()
        self.lines: queue.Queue[str | None] = queue.Queue()

    def run(self) -> None:
        """Publish until standard input ends."""
        threading.Thread(target=self._read, daemon=True).start()
        print("ready", flush=True)
        while True:
            while not self.lines.empty():
                line = self.lines.get()
                if line is None:
                    return
                self._obey(line)
            now = time.monotonic()
            for stream in self.streams.values():
                if now >= stream.due:
                    self._publish(stream, now)
            while self.late and self.late[0][0] <= now:
                _, _, publisher, message = heapq.heappop(self.late)
                publisher.publish(message)
            if any("obey" in stream.faults for stream in self.streams.values()):
                for _ in range(4):  # commands, and of an action the services and timers
                    rclpy.spin_once(self.node, timeout_sec=0.0)
            wake = min(stream.due for stream in self.streams.values())
            time.sleep(min(max(wake - time.monotonic(), 0.0), 0.01))

    def _publish(self, stream: Stream, now: float) -> None:
        stream.due = max(stream.due + stream.period, now)
        now_ns = time.time_ns() + self.offset_ns
        if self.clock:
            self.clock.publish(Clock(clock=to_time(now_ns)))
        if "stop" in stream.faults:
            return
        message = stream.message(now_ns)
        if "delay" in stream.faults:
            due = now + float(stream.faults["delay"])
            heapq.heappush(self.late, (due, next(self.number), stream.publisher, message))
        else:
            stream.publisher.publish(message)

    def _obey(self, line: str) -> None:
        name, what, *rest = line.split()
        value = rest[0] if rest else ""
        if name == "joy" and self.joy:
            self.joy.publish(Joy(buttons=[int(part) for part in what.split(",")]))
        elif name == "clock":
            self.offset_ns -= int(float(value) * 1e9)
        else:
            self.streams[name].tell(what, value)
        print(f"done {line}", flush=True)

    def _read(self) -> None:
        for line in sys.stdin:
            if line.strip():
                self.lines.put(line.strip())
        self.lines.put(None)


def main() -> None:
    """Run it."""
    contract, _ = load_contract(str(Path(sys.argv[1])))
    rclpy.init()
    Robot(contract, clock="--clock" in sys.argv).run()
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
