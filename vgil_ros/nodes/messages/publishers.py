"""Actions out: every topic is encoded first, then all are published, so that a bad value never half-reaches a robot.

The publishers are there while the node commands the robot, and at no other time (`core.graph.commanders` has the rule).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
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

from vgil_ros.core.bringup.units import namespace_of_commands
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.commanders import UNKNOWN, contest, full_name
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.nodes.base.alerts import Alerts, Problem, summary
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.hardware.gripper_modes import GripperMode, problems_of
from vgil_ros.nodes.hardware.robot_health import RobotHealth
from vgil_ros.nodes.messages.template import Template

FINAL_HOLDS = 5  # holds sent as a process ends: one could be lost on its way
LOOK_S = 1.0  # from when the robot is heard until others that were there before have been heard of too
NAME_S = 0.2  # a publisher is heard of before its node's name: so long that is waited for
WATCH_S = 0.1  # between two looks at who else commands the robot
UNHEARD_S = 1.0  # a robot that does not hear the topics that were taken is spoken of after so long
DEAF_S = 5.0  # and given up after so long
SETTLE_S = 15.0  # a robot that is held on its way to where it stays is let go of then, as a process ends
LAST_WORD_S = 0.05  # for the last hold to arrive, before a topic is let go of


class CommandTopic:
    """A command topic: the place for its publisher, which is there while the robot is commanded."""

    def __init__(self, node: VgilNode, kind: type, topic: str) -> None:
        self._node, self._kind, self._given = node, kind, topic
        self.name: str = node.resolve_topic_name(topic)
        self.publisher: Any = None
        self._let_go_s = -math.inf
        self._nameless_s = math.inf  # since when somebody without a name publishes here

    def take(self) -> None:
        """Make the publisher, if there is none."""
        if self.publisher is None:
            self.publisher = self._node.create_publisher(self._kind, self._given, 10)

    def let_go(self) -> None:
        """Remove the publisher."""
        if self.publisher is not None:
            self._node.destroy_publisher(self.publisher)
            self.publisher = None
            self._let_go_s = time.monotonic()

    @property
    def heard(self) -> bool:
        """Whether somebody has what is published from now on."""
        return self.publisher is not None and self.publisher.get_subscription_count() > 0

    def contested(self) -> str | None:
        """In words: who else has a publisher on it."""
        mine = int(self.publisher is not None)
        if self._node.count_publishers(self.name) <= mine:  # nearly always, and a tenth of the time
            self._nameless_s = math.inf
            return None
        mine += time.monotonic() - self._let_go_s < LOOK_S  # the graph tells of one that has gone for a moment more
        found = self._node.get_publishers_info_by_topic(self.name)
        names = [full_name(info.node_namespace, info.node_name) for info in found]
        if UNKNOWN in names:
            self._nameless_s = min(self._nameless_s, time.monotonic())
            if time.monotonic() - self._nameless_s < NAME_S:
                return None
        return contest(self.name, names, self._node.get_fully_qualified_name(), mine)


Encoded = list[tuple[CommandTopic, Any]]  # (topic, message or the bytes of one)


class RobotCommands:
    """A robot's command topics.

    Args:
        node: the node that publishes.
        layout: the robot.
        period_s: time between two commands; a trajectory's point is to be reached after it.
        arms: indices of the arms that it commands; None: all of them.
        watched: whether a bring-up node has a say, and grippers are asked for their modes; not for that node's own.

    Attributes:
        health: what the bring-up node says of the robot; None where it has no say.
    """

    def __init__(
        self,
        node: VgilNode,
        layout: Layout,
        period_s: float,
        arms: Collection[int] | None = None,
        *,
        watched: bool = True,
    ) -> None:
        self._node = node
        self._period = period_s
        self.layout = layout
        self._topics: list[CommandTopic] = []
        self._modes: list[GripperMode] = []
        self.health = RobotHealth(node, layout.contract) if watched else None
        self._heard_s = math.inf  # since when the robot is there (time.monotonic)
        self._taken_s = math.inf  # since when it is taken
        self._sent = False
        self._arms = {i: self._encoder(arm) for i, arm in enumerate(layout.arms) if arms is None or i in arms}
        base = layout.contract.base
        self._base = CommandTopic(node, Twist, base.command.topic) if base else None
        self._twist = Template(_twist, 2)

    @property
    def taken(self) -> bool:
        """Whether this node commands the robot now."""
        return any(topic.publisher is not None for topic in self._all())

    @property
    def base_taken(self) -> bool:
        """Whether it commands the base too."""
        return self._base is not None and self._base.publisher is not None

    @property
    def sent(self) -> bool:
        """Whether anything was sent since the robot was taken: then it is to be held before it is let go of.

        Where nothing was, a hold would be this node's first command, to a robot that it never moved.
        """
        return self._sent

    def take(self, *, base: bool = True) -> None:
        """From now on this node commands the robot: the arms, and with `base` its base."""
        if not self.taken:
            self._sent, self._taken_s = False, time.monotonic()
        for topic in self._all(base):
            topic.take()

    def let_go(self) -> None:
        """What was sent last arrives; from then on this node commands nothing."""
        if self.taken:
            self.settle(LAST_WORD_S)
            for topic in self._all():
                topic.let_go()
            self._sent, self._taken_s = False, math.inf

    def let_go_of_base(self) -> None:
        """The same of the base alone."""
        if self._base is not None and self._base.publisher is not None:
            self.settle(LAST_WORD_S)
            self._base.let_go()

    def heard(self) -> bool:
        """Whether what is sent now arrives everywhere."""
        return all(topic.heard for topic in self._all() if topic.publisher is not None)

    def unheard(self) -> tuple[Problem, ...]:
        """Topics that were taken, and that the robot has not found yet: what is sent there now is lost."""
        deaf = [topic.name for topic in self._all() if topic.publisher is not None and not topic.heard]
        return tuple(Problem(f"{topic} unheard", f"the robot does not hear {topic}") for topic in deaf)

    def wait(self, alerts: Alerts) -> str | None:
        """Speak of listeners that the topics which were taken have not found yet; called while `heard` is not so.

        Returns:
            In words, why the robot is to be given up; None while it is waited for.
        """
        lasts = time.monotonic() - self._taken_s
        if lasts < UNHEARD_S:  # a connection over DDS takes a moment
            return None
        words = f"{summary(self.unheard())}, {lasts:.0f} s after this node took it"
        if lasts < DEAF_S:
            alerts.warn_once("unheard", f"{words}; nothing is sent before it does")
            return None
        return f"{words}; nothing was sent, start again once its driver listens there"

    def _all(self, base: bool = True) -> list[CommandTopic]:
        return [*self._topics, self._base] if base and self._base is not None else self._topics

    def hindrances(self, *, base: bool = True) -> tuple[Problem, ...]:
        """What stands against taking the robot: another node that commands it, or topics that nobody listens to yet."""
        unheard = self.missing_subscribers(base=base)
        looked = self.looked(not unheard)
        if (problems := self.contested(base=base) + self.ill() + unheard) or looked:
            return problems
        return (Problem("looking", "looking for other nodes that command the robot: a second is needed"),)

    def looked(self, heard: bool) -> bool:
        """Whether there was time to find other nodes. To be called again and again before the robot is taken.

        Args:
            heard: whether the robot itself has been found by now.
        """
        now = time.monotonic()
        self._heard_s = min(self._heard_s, now) if heard else math.inf
        return now - self._heard_s >= LOOK_S and not any(mode.asking for mode in self._modes)

    def missing_subscribers(self, *, base: bool = True) -> tuple[Problem, ...]:
        """Command topics that nobody listens to yet. What is sent there is lost, and the next one a jump."""
        topics = [topic.name for topic in self._all(base) if not self._node.count_subscribers(topic.name)]
        return tuple(Problem(f"{topic} unheard", f"nobody listens on {topic}") for topic in topics)

    def contested(self, *, base: bool = True) -> tuple[Problem, ...]:
        """Why this node must not command the robot: another one does, or a gripper would take rad for metres."""
        moved = () if self.health is None else self.health.contested()
        return moved + _contested(self._all(base)) + problems_of(self._modes)

    def ill(self) -> tuple[Problem, ...]:
        """What the bring-up node says stands against moving the robot."""
        return () if self.health is None else self.health.problems()

    @property
    def fault(self) -> str:
        """In words: what is wrong with the robot itself, so that it is to be held; "" where nothing is."""
        return "" if self.health is None else self.health.fault

    def base_contested(self) -> tuple[Problem, ...]:
        """The base's command topic, where another node has a publisher on it too."""
        return _contested([] if self._base is None else [self._base])

    def encode(self, action: np.ndarray, base: np.ndarray | None = None) -> Encoded:
        """Return the messages for an action (>= J,) in units of the action, and a base velocity (2,) [m/s, rad/s].

        Raises:
            VgilError: for a value that is not finite.
        """
        messages: Encoded = []
        for index in self._arms:
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

    def send(self, messages: Encoded) -> None:
        """Publish what was encoded; nothing on a topic that is not taken."""
        for topic, message in messages:
            if topic.publisher is not None:
                topic.publisher.publish(message)
                self._sent = True

    def hold_and_end(self, hold: Callable[[], object]) -> None:
        """Send a hold each period for a few periods, and wait until it has arrived. Called before a process ends.

        Args:
            hold: sends one; while it returns True the command is still on its way to where it stays
                (`Outcome.settling`), and more are sent.
        """
        deadline, count, settling = time.monotonic() + SETTLE_S, 0, False
        while count < FINAL_HOLDS or (settling and time.monotonic() < deadline):
            settling, count = hold() is True, count + 1
            time.sleep(self._period)
        self.settle()

    def settle(self, timeout_s: float = 0.2) -> None:
        """Wait, no longer than this, until every listener has what was sent last."""
        deadline = time.monotonic() + timeout_s
        for topic in self._all():
            if topic.publisher is not None:
                left = max(deadline - time.monotonic(), 0.0)
                topic.publisher.wait_for_all_acked(RosDuration(seconds=left))

    def _topic(self, kind: type, topic: str) -> CommandTopic:
        self._topics.append(CommandTopic(self._node, kind, topic))
        return self._topics[-1]

    def _encoder(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        makers = {
            "joint_state": self._joint_state,
            "float64_multi_array": self._array,
            "joint_trajectory": self._trajectory,
            "interbotix_group": self._interbotix,
        }
        return makers[arm.arm.command.type](arm)

    def _joint_state(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        topic = self._topic(JointState, arm.arm.command.topic)
        template = Template(partial(_joint_state, list(arm.arm.joints)), len(arm.arm.joints))
        return lambda command: [(topic, template.filled(command.tolist(), self._node.now_ns()))]

    def _array(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        topic = self._topic(Float64MultiArray, arm.arm.command.topic)
        template = Template(lambda values, stamp_ns: Float64MultiArray(data=values), len(arm.arm.joints))
        return lambda command: [(topic, template.filled(command.tolist()))]

    def _trajectory(self, arm: ArmLayout) -> Callable[[np.ndarray], Encoded]:
        topic = self._topic(JointTrajectory, arm.arm.command.topic)
        make = partial(_trajectory, list(arm.arm.joints), self._period)
        template = Template(make, len(arm.arm.joints))
        return lambda command: [(topic, template.filled(command.tolist()))]

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
        group = self._topic(JointGroupCommand, topic)
        single = self._topic(JointSingleCommand, topic.rsplit("/", 1)[0] + "/joint_single")
        gripper = arm.arm.gripper
        column = arm.arm.joints.index(gripper.joint) if gripper else None
        if gripper is not None and self.health is not None:
            space = namespace_of_commands(topic)
            self._modes.append(GripperMode(self._node, space, gripper.joint, single.name))

        def encode(command: np.ndarray) -> Encoded:
            joints = command if column is None else np.delete(command, column)
            out: Encoded = [(group, JointGroupCommand(name="arm", cmd=joints.tolist()))]
            if gripper is not None and column is not None:
                out.append((single, JointSingleCommand(name=gripper.joint, cmd=float(command[column]))))
            return out

        return encode


def _contested(topics: Sequence[CommandTopic]) -> tuple[Problem, ...]:
    found = [(topic.name, topic.contested()) for topic in topics]
    return tuple(Problem(f"{topic} contested", words) for topic, words in found if words is not None)


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
