"""The places where a robot is commanded: topics, and actions; each is there while the robot is commanded by this node.

`core.graph.commanders` has the rule of who may.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action.client import ActionClient
from rclpy.action.graph import get_action_client_names_and_types_by_node
from rclpy.duration import Duration as RosDuration

from vgil_ros.core.goal_stream import GoalStream
from vgil_ros.core.graph.commanders import UNKNOWN, contest, full_name
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode

LOOK_S = 1.0  # from when the robot is heard until others that were there before have been heard of too
NAME_S = 0.2  # a publisher is heard of before its node's name: so long that is waited for


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
    def taken(self) -> bool:
        """Whether the publisher is there."""
        return self.publisher is not None

    def publish(self, message: Any) -> None:
        """Send a message, or the bytes of one."""
        self.publisher.publish(message)

    def settle(self, timeout_s: float) -> None:
        """Wait, no longer than this, until every listener has what was sent last."""
        if self.publisher is not None:
            self.publisher.wait_for_all_acked(RosDuration(seconds=timeout_s))

    def missing(self) -> str | None:
        """In words: that nobody listens yet."""
        if self._node.count_subscribers(self.name):
            return None
        return f"nobody listens on {self.name}"

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


class CommandAction:
    """An action that commands a gripper: the place for its client, and what of the wanted positions becomes a goal.

    Args:
        node: the node that commands.
        kind: the action's type.
        name: the action's.
        goal: a goal of a position in the driver's units.
        deadband: see `GoalStream`.
    """

    def __init__(self, node: VgilNode, kind: Any, name: str, goal: Any, deadband: float) -> None:
        self._node, self._kind, self._given, self._goal = node, kind, name, goal
        self.name: str = node.resolve_topic_name(name)
        self._service = f"{self.name}/_action/send_goal"
        self._stream = GoalStream(deadband)
        self._client: Any = None
        self._let_go_s = -math.inf

    @property
    def taken(self) -> bool:
        """Whether the client is there."""
        return self._client is not None

    def take(self) -> None:
        """Make the client, if there is none."""
        if self._client is None:
            self._client = ActionClient(self._node, self._kind, self._given)
            self._stream.reset()

    def let_go(self) -> None:
        """Remove the client; a goal that is on its way goes on: the gripper stays where it was sent."""
        if self._client is not None:
            self._client.destroy()
            self._client, self._let_go_s = None, time.monotonic()

    @property
    def heard(self) -> bool:
        """Whether a server takes what is sent from now on."""
        return self._client is not None and bool(self._client.server_is_ready())

    def settle(self, timeout_s: float) -> None:
        """Nothing: a goal that was sent is on its way, whoever listens for its answer."""

    def missing(self) -> str | None:
        """In words: that there is no server yet."""
        if self._node.count_services(self._service):
            return None
        return f"there is no action server {self.name}"

    def publish(self, position: float) -> None:
        """Want a position, in the driver's units; where it is time for it, send a goal."""
        if not self._client.server_is_ready():
            self._stream.reset()
            self._node.warn_once(self.name, f"{self.name}: its action server has gone; nothing is sent to the gripper")
            return
        number = self._stream.want(position, time.monotonic())
        if number is not None:
            future = self._client.send_goal_async(self._goal(position))
            future.add_done_callback(lambda answer: self._on_answer(number, position, answer.result()))

    def _on_answer(self, number: int, position: float, handle: Any) -> None:
        if handle.accepted:
            self._node.clear(self.name)
            self._stream.taken(number)
            handle.get_result_async().add_done_callback(lambda done: self._on_end(number, position, done.result()))
        elif self._stream.refused(number, time.monotonic()):
            self._say_one_by_one()
        else:
            self._node.warn_once(
                self.name, f"{self.name} rejected the goal {position:.4g}; it is sent again each second"
            )

    def _on_end(self, number: int, position: float, answer: Any) -> None:
        aborted = answer.status == GoalStatus.STATUS_ABORTED
        if self._stream.ended(number, aborted=aborted):
            self._say_one_by_one()
        elif aborted and self._stream.is_newest(number) and not answer.result.stalled:  # closed on a thing
            self._node.warn_once(f"{self.name} aborted", f"{self.name} aborted the goal {position:.4g}")
        elif not aborted:
            self._node.clear(f"{self.name} aborted")

    def _say_one_by_one(self) -> None:
        words = f"{self.name}: a new goal does not take the place of the one before; they are sent one by one"
        self._node.log(words, severity="warning")

    def contested(self) -> str | None:
        """In words: who else has a client of it."""
        mine = int(self.taken)
        if self._node.count_clients(self._service) <= mine:
            return None
        mine += time.monotonic() - self._let_go_s < LOOK_S  # the graph tells of one that has gone for a moment more
        names: list[str] = []
        for name, namespace in self._node.get_node_names_and_namespaces():
            with suppress(RuntimeError):  # rclpy's RCLError: it has just left, or has no name yet
                kinds = dict(get_action_client_names_and_types_by_node(self._node, name, namespace))
                names += [full_name(namespace, name)] * (self.name in kinds)
        return contest(self.name, names, self._node.get_fully_qualified_name(), mine)


Place = CommandTopic | CommandAction
Encoded = list[tuple[Place, Any]]  # (place, message or the bytes of one; of an action, a position)


def unheard_words(place: Place) -> str:
    """What is said of a place that was taken, and that the robot has not found yet."""
    if isinstance(place, CommandAction):
        return f"the action server {place.name} is not there"
    return f"the robot does not hear {place.name}"


def contested_among(places: Sequence[Place]) -> tuple[Problem, ...]:
    """The places that another node commands too."""
    found = [(place.name, place.contested()) for place in places]
    return tuple(Problem(f"{name} contested", words) for name, words in found if words is not None)
