"""A robot's drivers as one process: `python -m support.robots.fake_driver NAME [SLOW]`.

It publishes and obeys what `drivers` says of that robot, whatever a contract may think. Lines on standard input, each
answered by `done LINE`:

    lead on|off       the leader's arms are moved, and told of; or its drivers are ended
    report            one line of JSON before the answer: where each follower's joint is, how many commands were taken
                      by topic, and what was refused, in words

SLOW stretches its time, and publishes it as /clock: nodes by simulated time need a share of the processor then.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import Float32

from support.robots.drivers import DRIVERS
from support.robots.listening import listen
from support.robots.parts import Body, Driver, States

HZ, CAMERA_HZ, SWING_HZ = 100.0, 30.0, 0.4
SPEED, SHORT, SHORT_SPEED = 3.0, 0.1, 0.3  # of a follower's joints, a second; slower where they slide
HEIGHT, WIDTH = 48, 64


class Joints:
    """A body that moves."""

    def __init__(self, body: Body, now: Callable[[], float]) -> None:
        self.body, self.at, self.goal = body, dict(body.rest), dict(body.rest)
        self._now, self._then = now, now()

    def move(self) -> None:
        """Where the joints are by now."""
        now = self._now()
        dt, self._then = now - self._then, now
        for i, joint in enumerate(self.at):
            if self.body.swing:
                phase = 2 * np.pi * SWING_HZ * now + 0.9 * i
                self.at[joint] = self.body.rest[joint] + self.body.swing[joint] * float(np.sin(phase))
                continue
            fast = SHORT_SPEED if abs(self.body.rest[joint]) < SHORT and joint.startswith(SLIDING) else SPEED
            self.at[joint] += float(np.clip(self.goal[joint] - self.at[joint], -fast * dt, fast * dt))

    def value(self, joint: str) -> float:
        """Where a joint is measured."""
        if joint in self.body.derived:
            other, (low, high), ends = self.body.derived[joint]
            return float(ends[0] + (self.at[other] - low) / (high - low) * (ends[1] - ends[0]))
        return self.at[joint]


SLIDING = ("fr3_finger", "left_carriage", "trossen_arm_1/left_carriage", "openarm_left_finger", "openarm_right_finger")


class Robot:
    """All drivers of a robot."""

    def __init__(self, driver: Driver, slow: float) -> None:
        self.node = Node("driver")
        self._slow, self._start_s, self._began = slow, time.time(), time.monotonic()
        self.nodes = [self.node]  # and controllers that are asked for their parameters
        self.driver = driver
        self.joints = {body.name: Joints(body, self.now) for body in driver.bodies}
        self.taken: Counter[str] = Counter()
        self.refused: list[str] = []
        self.leading = True
        self.lines: queue.Queue[str | None] = queue.Queue()
        self._duties: list[tuple[list[float], float, Callable[[], object]]] = []  # ([when due], period, what)
        self.every(1.0 / HZ, self._move)
        if slow != 1.0:
            clock = self.node.create_publisher(Clock, "/clock", 10)
            self.every(1.0 / HZ, lambda: clock.publish(Clock(clock=self._stamp())))
        for states in driver.states:
            self._publish(states)
        self.holding = [listen(self, commands) for commands in driver.commands]
        for number, (topic, kind) in enumerate(driver.cameras):
            self._film(topic, kind, number)
        if driver.base:
            odometry = self.node.create_publisher(Odometry, driver.base[0], 10)
            self.every(1.0 / 50, lambda: odometry.publish(self._stamped(Odometry())))
            self.node.create_subscription(Twist, driver.base[1], lambda m: self.taken.update([driver.base[1]]), 10)

    def now(self) -> float:
        """Its time, s."""
        return self._start_s + (time.monotonic() - self._began) / self._slow

    def _stamp(self) -> Time:
        now = self.now()
        return Time(sec=int(now), nanosec=int(now % 1 * 1e9))

    def every(self, period: float, what: Callable[[], object]) -> None:
        """Have something done again and again; one loop is half the work of as many timers."""
        self._duties.append(([self.now()], period, what))

    def run(self) -> None:
        """Publish, listen and obey until standard input ends."""
        executor = SingleThreadedExecutor()
        for node in self.nodes:
            executor.add_node(node)
        while self._obey():
            for due, period, what in self._duties:
                if (now := self.now()) >= due[0]:
                    due[0] = max(due[0] + period, now)
                    what()
            wake = min(due[0] for due, _, _ in self._duties)
            executor.spin_once(timeout_sec=max(wake - self.now(), 0.0) * self._slow)

    def refuse(self, topic: str, why: str) -> None:
        """A command that the driver does not take."""
        self.refused.append(f"{topic}: {why}")

    def take(self, topic: str, body: str, goals: dict[str, float]) -> None:
        """A command that it takes: joints and where they are to go."""
        if not np.isfinite(list(goals.values())).all():
            self.refuse(topic, f"{goals} is not finite")
            return
        self.taken[topic] += 1
        self.joints[body].goal.update(goals)

    def _move(self) -> None:
        for joints in self.joints.values():
            joints.move()

    def _stamped(self, message: object) -> object:
        message.header.stamp = self._stamp()  # type: ignore[attr-defined]
        return message

    def _publish(self, states: States) -> None:
        joints = self.joints[states.body]
        kind = JointState if states.kind == "joint_state" else Float32
        publishers = [self.node.create_publisher(kind, states.topic, states.depth)]

        def publish() -> None:
            led = bool(joints.body.swing)
            if led and not self.leading:  # its driver is ended: nobody publishes there
                while publishers:
                    self.node.destroy_publisher(publishers.pop())
                return
            if not publishers:
                publishers.append(self.node.create_publisher(kind, states.topic, states.depth))
            if kind is Float32:
                publishers[0].publish(Float32(data=joints.value(states.joints[0])))
                return
            positions = [joints.value(joint) for joint in states.joints]
            publishers[0].publish(self._stamped(JointState(name=list(states.joints), position=positions)))

        self.every(1.0 / states.hz, publish)

    def _film(self, topic: str, kind: str, number: int) -> None:
        compressed = kind == "compressed"
        publisher = self.node.create_publisher(CompressedImage if compressed else Image, topic, 10)
        random = np.random.default_rng(number)
        frames = [random.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8) for _ in range(7)]
        if compressed:
            import cv2

            jpegs = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
        count = 0

        def publish() -> None:
            nonlocal count
            count += 1
            if compressed:
                publisher.publish(self._stamped(CompressedImage(format="jpeg", data=jpegs[count % 7])))
                return
            size = {"height": HEIGHT, "width": WIDTH, "step": 3 * WIDTH, "encoding": "rgb8"}
            publisher.publish(self._stamped(Image(data=frames[count % 7].tobytes(), **size)))

        self.every(1.0 / CAMERA_HZ, publish)

    def _obey(self) -> bool:
        while not self.lines.empty():
            line = self.lines.get()
            if line is None:
                return False
            if line.startswith("lead"):
                self.leading = line.endswith("on")
            elif line == "report":
                at = {name: joints.at for name, joints in self.joints.items() if not joints.body.swing}
                print(json.dumps({"at": at, "taken": self.taken, "refused": self.refused}), flush=True)
            print(f"done {line}", flush=True)
        return True

    def read(self) -> None:
        """Take lines until standard input ends."""
        for line in sys.stdin:
            self.lines.put(line.strip())
        self.lines.put(None)


def main() -> None:
    """Drive until standard input ends."""
    rclpy.init()
    robot = Robot(DRIVERS[sys.argv[1]](), float(sys.argv[2]) if len(sys.argv) > 2 else 1.0)
    threading.Thread(target=robot.read, daemon=True).start()
    print("ready", flush=True)
    robot.run()


if __name__ == "__main__":
    main()
