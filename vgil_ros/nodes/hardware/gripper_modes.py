"""The operating modes of grippers behind Interbotix' driver, asked for before the first command and from then on.

After Interbotix' own start their grippers take metres. A command in rad is no number there, and the driver drives the
gripper to 0 rad, past closed, until the servo switches itself off.
"""

from __future__ import annotations

import time
from typing import Any

from vgil_ros.core.bringup.judgements import mode_wrong
from vgil_ros.nodes.base.alerts import Problem
from vgil_ros.nodes.base.node import VgilNode

ASK_S = 1.0  # between two questions
OPEN = 5  # questions that are open at most
TURN_S = 0.2
LOOK_S = 3.0  # that a driver's service may be found later than its topics
SILENT_S = 5.0  # without an answer, and the driver is not what it was
DRIVER = "xs_sdk"  # the node that listens to the commands where the driver is Interbotix' own


class GripperMode:
    """Asks one driver for the mode of its gripper.

    Args:
        node: that commands it.
        space: the driver's namespace.
        gripper: the gripper's motor.
        topic: on which the gripper is commanded.
    """

    def __init__(self, node: VgilNode, space: str, gripper: str, topic: str) -> None:
        from interbotix_xs_msgs.srv import RobotInfo  # the commands' messages are there, so this is

        self._node, self._space, self._gripper = node, node.resolve_topic_name(space), gripper
        self._topic = node.resolve_topic_name(topic)
        self._service = f"{self._space}/get_robot_info"
        self._client: Any = node.create_client(RobotInfo, self._service)
        self._request = RobotInfo.Request(cmd_type="single", name=gripper)
        self.mode: str | None = None
        self._futures: list[Any] = []  # of questions that are open
        self._asked_s = self._answered_s = float("-inf")
        self._there_s: float | None = None  # since when somebody listens to the commands
        node.background_timer(TURN_S, self._turn)

    def _turn(self) -> None:
        now = time.monotonic()
        if self._there_s is None and self._node.count_subscribers(self._topic):
            self._there_s = now
        if not self._client.service_is_ready():
            self._forget(len(self._futures))
            self.mode = None  # one that comes back may be in another
            return
        for i in reversed(range(len(self._futures))):  # the newest answer counts
            if self._futures[i].done():
                self.mode, self._answered_s = self._futures[i].result().mode, now
                self._forget(i + 1)
                break
        if now - self._asked_s >= ASK_S:
            self._forget(len(self._futures) - OPEN + 1)
            self._futures.append(self._client.call_async(self._request))
            self._asked_s = now

    def _forget(self, count: int) -> None:
        """The oldest questions are not waited for any more."""
        for future in self._futures[: max(count, 0)]:
            self._client.remove_pending_request(future)
        del self._futures[: max(count, 0)]

    @property
    def about(self) -> str:
        """The gripper's motor, as the driver has it."""
        return f"{self._space}/{self._gripper}"

    @property
    def asking(self) -> bool:
        """Whether the first answer is still waited for."""
        there = self._there_s is not None and time.monotonic() - self._there_s < LOOK_S
        return there and self._answered_s < 0

    def problem(self) -> str | None:
        """In words: why the gripper must not be commanded; None where it may be."""
        now = time.monotonic()
        if self.mode is not None:
            if now - self._answered_s > SILENT_S:
                return f"{self._service} does not answer any more; was the driver restarted?"
            return mode_wrong(self._space, self._gripper, self.mode)
        if self._there_s is None:
            return None  # nobody listens: that is told by itself
        if self._answered_s > 0:
            return f"{self._service} has gone, and with it the driver"
        if self.asking:
            return None
        if self._is_driver():
            return f"{self._service} does not answer, so the gripper's operating mode is not known; nothing is sent"
        self._node.warn_once(
            f"{self._space} mode",
            f"nobody offers {self._service}, as every Interbotix driver does: the mode of {self._gripper} is not known",
        )
        return None

    def _is_driver(self) -> bool:
        listeners = self._node.get_subscriptions_info_by_topic(self._topic)
        return any(info.node_name.startswith(DRIVER) for info in listeners)


def problems_of(modes: list[GripperMode]) -> tuple[Problem, ...]:
    """What stands against commanding grippers."""
    found = (mode.problem() for mode in modes)
    return tuple(Problem(words[:60], words) for words in found if words is not None)
