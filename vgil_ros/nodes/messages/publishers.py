"""Actions out: every topic is encoded first, then all are published, so that a bad value never half-reaches a robot.

The publishers are there while the node commands the robot, and at no other time (`core.graph.commanders` has the rule).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterable

import numpy as np
from geometry_msgs.msg import Twist

from vgil_ros.core.bringup.units import namespace_of_commands
from vgil_ros.core.contract import Arm
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout, puppet_reader
from vgil_ros.core.safety import Outcome
from vgil_ros.nodes.base.alerts import Alerts, Problem, summary
from vgil_ros.nodes.base.node import VgilNode
from vgil_ros.nodes.hardware.gripper_modes import GripperMode, problems_of
from vgil_ros.nodes.hardware.robot_health import RobotHealth
from vgil_ros.nodes.messages.array_order import array_orders
from vgil_ros.nodes.messages.command_encoders import ArmEncoder, make_encoder, single_topic, twist
from vgil_ros.nodes.messages.command_places import (
    LOOK_S,
    CommandTopic,
    Encoded,
    Place,
    contested_among,
    unheard_words,
)
from vgil_ros.nodes.messages.template import Template

FINAL_HOLDS = 5  # holds sent as a process ends: one could be lost on its way
WATCH_S = 0.1  # between two looks at who else commands the robot
UNHEARD_S = 1.0  # a robot that does not hear the topics that were taken is spoken of after so long
DEAF_S = 5.0  # and given up after so long
SETTLE_S = 15.0  # a robot that is held on its way to where it stays is let go of then, as a process ends
LAST_WORD_S = 0.05  # for the last hold to arrive, before a topic is let go of


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
        self._topics: list[Place] = []
        self._modes: list[GripperMode] = []
        self.health = RobotHealth(node, layout.contract) if watched else None
        self._heard_s = math.inf  # since when the robot is there (time.monotonic)
        self._taken_s = math.inf  # since when it is taken
        self._sent = False
        self._arms: dict[int, ArmEncoder] = {}
        for i, arm in enumerate(layout.arms):
            if arms is None or i in arms:
                self._arms[i], places = make_encoder(node, arm, period_s)
                self._topics += places
                if watched:
                    self._modes += gripper_modes(node, (arm.arm,))
        self._orders = array_orders(node, layout, self._arms)
        base = layout.contract.base
        self._base = CommandTopic(node, Twist, base.command.topic) if base else None
        self._twist = Template(twist, 2)

    @property
    def taken(self) -> bool:
        """Whether this node commands the robot now."""
        return any(topic.taken for topic in self._all())

    @property
    def base_taken(self) -> bool:
        """Whether it commands the base too."""
        return self._base is not None and self._base.taken

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
        if self._base is not None and self._base.taken:
            self.settle(LAST_WORD_S)
            self._base.let_go()

    def heard(self) -> bool:
        """Whether what is sent now arrives everywhere."""
        return all(topic.heard for topic in self._all() if topic.taken)

    def unheard(self) -> tuple[Problem, ...]:
        """Topics that were taken, and that the robot has not found yet: what is sent there now is lost."""
        deaf = [topic for topic in self._all() if topic.taken and not topic.heard]
        return tuple(Problem(f"{topic.name} unheard", unheard_words(topic)) for topic in deaf)

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

    def _all(self, base: bool = True) -> list[Place]:
        return [*self._topics, self._base] if base and self._base is not None else self._topics

    def hindrances(self, *, base: bool = True) -> tuple[Problem, ...]:
        """What stands against taking the robot: another node that commands it, or topics that nobody listens to yet."""
        looked = self.looked(not self.missing_subscribers(base=base))
        if (problems := self.in_the_way(base=base)) or looked:
            return problems
        return (Problem("looking", "looking for other nodes that command the robot: a second is needed"),)

    def in_the_way(self, *, base: bool = True) -> tuple[Problem, ...]:
        """The same, whether or not there was time to look."""
        problems = self.contested(base=base) + self.ill() + self.missing_subscribers(base=base) + self.disorder()
        return tuple(dict.fromkeys(problems))  # an array that nobody takes is unheard, and in no order

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
        missing = [(topic.name, topic.missing()) for topic in self._all(base)]
        return tuple(Problem(f"{name} unheard", words) for name, words in missing if words is not None)

    def disorder(self) -> tuple[Problem, ...]:
        """Controllers that take other joints than an array holds, or in another order, or have yet to come or tell."""
        return tuple(problem for order in self._orders if (problem := order.problem()) is not None)

    def mismatched(self) -> tuple[Problem, ...]:
        """The same of those alone that have told, for while the robot is taken: one may come up later."""
        return tuple(problem for order in self._orders if (problem := order.mismatch()) is not None)

    def asking(self) -> bool:
        """Whether a controller has yet to tell the order of its joints."""
        return any(order.waiting for order in self._orders)

    def contested(self, *, base: bool = True) -> tuple[Problem, ...]:
        """Why this node must not command the robot: another one does, or a gripper would take rad for metres."""
        moved = () if self.health is None else self.health.contested()
        return moved + contested_among(self._all(base)) + problems_of(self._modes)

    def ill(self) -> tuple[Problem, ...]:
        """What the bring-up node says stands against moving the robot."""
        return () if self.health is None else self.health.problems()

    @property
    def fault(self) -> str:
        """In words: what is wrong with the robot itself, so that it is to be held; "" where nothing is."""
        return "" if self.health is None else self.health.fault

    def base_contested(self) -> tuple[Problem, ...]:
        """The base's command topic, where another node has a publisher on it too."""
        return contested_among([] if self._base is None else [self._base])

    def encode_safe(self, outcome: Outcome) -> Encoded:
        """The messages for what the safety limits let through: none for an arm that is not heard."""
        assert outcome.command is not None
        positions, base = outcome.command.positions, outcome.command.base
        if not outcome.silent:
            return self.encode(positions, base)
        streams = {index: puppet_reader(self.layout.arms[index].arm).stream for index in self._arms}
        return self.encode(positions, base, [index for index in self._arms if streams[index] not in outcome.silent])

    def encode(
        self, action: np.ndarray, base: np.ndarray | None = None, arms: Collection[int] | None = None
    ) -> Encoded:
        """Return the messages for an action (>= J,) in units of the action, and a base velocity (2,) [m/s, rad/s].

        Args:
            action, base: see above.
            arms: indices of those that it is for; all that are commanded if left out.

        Raises:
            VgilError: for a value that is not finite.
        """
        messages: Encoded = []
        for index in self._arms if arms is None else arms:
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
            if topic.taken:
                topic.publish(message)
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
            topic.settle(max(deadline - time.monotonic(), 0.0))


def gripper_modes(node: VgilNode, arms: Iterable[Arm]) -> list[GripperMode]:
    """What asks for the modes of grippers that are commanded behind Interbotix' driver."""
    modes = []
    for arm in arms:
        if arm.command.type == "interbotix_group" and arm.gripper is not None:
            topic, motor = arm.command.topic, arm.command_joints[arm.joints.index(arm.gripper.joint)]
            modes.append(GripperMode(node, namespace_of_commands(topic), motor, single_topic(topic)))
    return modes
