"""Actions out: every topic is encoded first, then all are published, so that a bad value never half-reaches a robot."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Twist
from rclpy.duration import Duration as RosDuration
from rclpy.time import Time
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.messages.template import Template

Encoded = list[tuple[Any, Any]]  # (publisher, message or the bytes of one)
FINAL_HOLDS = 5  # holds sent as a process ends: one could be lost on its way


class RobotCommands:
    """Publishers of a robot's command topics.

    Args:
        node: the node that publishes.
        layout: the robot.
        period_s: time between two commands; a trajectory's point is to be reached after it.
    """

    def __init__(self, node: VgilNode, layout: Layout, period_s: float) -> None:
        self._node = node
        self._period = period_s
        self.layout = layout
        self._publishers: list[Any] = []
        self._arms = [self._encoder(arm) for arm in layout.arms]
        base = layout.contract.base
        self._base = self._publisher(Twist, base.command.topic) if base else None
        self._twist = Template(_twist, 2)

    def missing_subscribers(self) -> tuple[Problem, ...]:
        """Command topics that nobody listens to yet. What is sent there is lost, and the next one a jump."""
        topics = [p.topic_name for p in self._publishers if not p.get_subscription_count()]
        return tuple(Problem(f"{topic} unheard", f"nobody listens on {topic}") for topic in topics)

    def competing_publishers(self) -> tuple[str, ...]:
        """In words: command topics on which somebody else publishes too."""
        topics = [publisher.topic_name for publisher in self._publishers]
        return tuple(f"somebody else commands {t} too" for t in topics if self._node.count_publishers(t) > 1)

    def encode(self, action: np.ndarray, base: np.ndarray | None = None) -> Encoded:
        """Return the messages for an action (>= J,) in units of the action, and a base velocity (2,) [m/s, rad/s].

        Raises:
            VgilError: for a value that is not finite.
        """
        messages: Encoded = []
        for index in range(len(self._arms)):
            messages += self.encode_arm(index, action[self.layout.arms[index].columns])
        return messages + (self.encode_base(base) if base is not None else [])

    def encode_arm(self, index: int, action: np.ndarray) -> Encoded:
        """The messages for one arm's part (joints,) of an action."""
        arm = self.layout.arms[index]
        command = arm.command.restore(np.asarray(action, np.float64))
        if not np.isfinite(command).all():
            raise VgilError(f"{arm.arm.name}: command {command.tolist()} is not finite; nothing is sent")
        return self._arms[index](command)

    def encode_base(self, base: np.ndarray) -> Encoded:
        """The message for a base velocity (2,) [m/s, rad/s]; none where the robot has no base."""
        if self._base is None:
            return []
        if not np.isfinite(base).all():
            raise VgilError(f"base: command {base.tolist()} is not finite; nothing is sent")
        return [(self._base, self._twist.filled((float(base[0]), float(base[1]))))]

    @staticmethod
    def send(messages: Encoded) -> None:
        """Publish what was encoded."""
        for publisher, message in messages:
            publisher.publish(message)

    def hold_and_end(self, hold: Callable[[], None]) -> None:
        """Send a hold each period for a few periods, and wait until it has arrived. Called before a process ends."""
        for _ in range(FINAL_HOLDS):
            hold()
            time.sleep(self._period)
        self.settle()

    def settle(self, timeout_s: float = 0.2) -> None:
        """Wait, no longer than this, until every listener has what was sent last."""
        deadline = time.monotonic() + timeout_s
        for publisher in self._publishers:
            publisher.wait_for_all_acked(RosDuration(seconds=max(deadline - time.monotonic(), 0.0)))

    def _publisher(self, kind: type, topic: str) -> Any:
        publisher: Any = self._node.create_publisher(kind, topic, 10)
        self._publishers.append(publisher)
        return publisher

    def _encoder(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        makers = {
            "joint_state": self._joint_state,
            "float64_multi_array": self._array,
            "joint_trajectory": self._trajectory,
            "interbotix_group": self._interbotix,
        }
        return makers[arm.arm.command.type](arm)

    def _joint_state(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        publisher = self._publisher(JointState, arm.arm.command.topic)
        template = Template(partial(_joint_state, list(arm.arm.joints)), len(arm.arm.joints))
        return lambda command: [(publisher, template.filled(command.tolist(), self._node.now_ns()))]

    def _array(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        publisher = self._publisher(Float64MultiArray, arm.arm.command.topic)
        template = Template(lambda values, stamp_ns: Float64MultiArray(data=values), len(arm.arm.joints))
        return lambda command: [(publisher, template.filled(command.tolist()))]

    def _trajectory(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        publisher = self._publisher(JointTrajectory, arm.arm.command.topic)
        make = partial(_trajectory, list(arm.arm.joints), self._period)
        template = Template(make, len(arm.arm.joints))
        return lambda command: [(publisher, template.filled(command.tolist()))]

    def _interbotix(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        """The group topic takes the arm, the sibling topic `joint_single` the gripper."""
        try:
            from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
        except ImportError as error:
            raise VgilError(
                f"arm '{arm.arm.name}': command type 'interbotix_group' needs the package interbotix_xs_msgs, which is"
                " not installed; allowed without it: joint_state, float64_multi_array, joint_trajectory"
            ) from error
        topic = arm.arm.command.topic
        group = self._publisher(JointGroupCommand, topic)
        single = self._publisher(JointSingleCommand, topic.rsplit("/", 1)[0] + "/joint_single")
        gripper = arm.arm.gripper
        column = arm.arm.joints.index(gripper.joint) if gripper else None

        def encode(command: np.ndarray) -> Encoded:
            joints = command if column is None else np.delete(command, column)
            out: Encoded = [(group, JointGroupCommand(name="arm", cmd=joints.tolist()))]
            if gripper is not None and column is not None:
                out.append((single, JointSingleCommand(name=gripper.joint, cmd=float(command[column]))))
            return out

        return encode


def _joint_state(names: list[str], values: list[float], stamp_ns: int) -> JointState:
    message = JointState(name=names, position=values)
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    return message


def _trajectory(names: list[str], period_s: float, values: list[float], stamp_ns: int) -> JointTrajectory:
    """With stamp 0: "now". The point is to be reached after a period."""
    after = Duration(sec=int(period_s), nanosec=int(period_s % 1 * 1e9))
    return JointTrajectory(joint_names=names, points=[JointTrajectoryPoint(positions=values, time_from_start=after)])


def _twist(values: list[float], stamp_ns: int) -> Twist:
    twist = Twist()
    twist.linear.x, twist.angular.z = values
    return twist
