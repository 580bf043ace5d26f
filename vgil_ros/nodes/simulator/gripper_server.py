"""A simulated gripper's action server: as with ros2_control's, a new goal takes the place of the one before."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rclpy.action.server import ActionServer, GoalResponse
from rclpy.node import Node

from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.simulator.command_decoders import CommandInput

LOOK_S = 0.05  # between two looks at where the gripper is
REACHED = 0.01  # of the way from where it was: a goal that is so near is reached
STILL = 1e-4  # rad (m): it moves by less between two looks where it stands
STALLED_S = 0.5  # so long on one place short of the goal, and a thing is in the way


class GripperServer:
    """Serves one action of a robot's contract.

    Args:
        node: the node that serves; its executor must spin.
        given: the action.
        held: what the arm is commanded to now, (J,).
        measured: where its joints are, (J,).
        take: sends it to (J,); called with what a goal says.
    """

    def __init__(
        self,
        node: Node,
        given: CommandInput,
        held: Callable[[], np.ndarray],
        measured: Callable[[], np.ndarray],
        take: Callable[[np.ndarray], None],
    ) -> None:
        self._node, self._given, self._held, self._measured, self._take = node, given, held, measured, take
        self._goal: tuple[Any, float, float] | None = None  # handle, target, where it was
        self._last, self._since_s = math.nan, math.inf
        self.goals = 0
        self._server = ActionServer(
            node,
            given.type,
            given.topic,
            execute_callback=self._never,
            goal_callback=self._on_goal,
            handle_accepted_callback=self._on_accepted,
        )
        node.create_timer(LOOK_S, self._look)

    def destroy(self) -> None:
        """Take the action off the network."""
        self._server.destroy()

    def _never(self, handle: Any) -> Any:
        return self._given.type.Result()  # goals are executed as they end

    def _on_goal(self, goal: Any) -> GoalResponse:
        try:
            self._given.decode(goal, self._held())
        except VgilError as error:
            self._node.get_logger().warning(f"goal refused: {error}")
            return GoalResponse.REJECT
        return GoalResponse.ACCEPT

    def _on_accepted(self, handle: Any) -> None:
        if self._goal is not None:
            self._end(aborted=True)
        position = self._given.decode(handle.request, self._held())
        self.goals += 1
        where = float(self._measured()[self._given.column])
        self._goal, self._since_s = (handle, float(position[self._given.column]), where), time.monotonic()
        self._take(position)

    def _look(self) -> None:
        """End the goal once the gripper is there, or stands on its way."""
        if self._goal is None:
            return
        _, target, began = self._goal
        now = float(self._measured()[self._given.column])
        if not abs(now - self._last) < STILL:
            self._since_s = time.monotonic()
        self._last = now
        if abs(now - target) <= max(REACHED * abs(target - began), STILL):
            self._end()
        elif time.monotonic() - self._since_s > STALLED_S:
            self._end(stalled=True)

    def _end(self, *, aborted: bool = False, stalled: bool = False) -> None:
        assert self._goal is not None
        handle, self._goal = self._goal[0], None

        def execute(executing: Any) -> Any:
            executing.abort() if aborted else executing.succeed()
            return self._given.type.Result(stalled=stalled, reached_goal=not (aborted or stalled))

        handle.execute(execute)
