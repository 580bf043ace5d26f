"""The poses that a robot can be sent to, and the way to them: one after the other, slowly, and looked at on arrival."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout

POSES = ("home", "wake", "sleep", "hold")
ARRIVED = 0.05  # rad: measured this near to a pose, a joint is there
COMMANDED = 1e-6
PATIENCE_NS = 3_000_000_000  # from when a pose is commanded until every joint must be there


def waypoints(layout: Layout, pose: str) -> list[np.ndarray]:
    """The poses (J,) to go through, in units of the action; none for `hold`, which stays where it is.

    An arm goes to sleep by way of its home: from anywhere else a straight line may pass through the table.

    Args:
        layout: the robot.
        pose: one of POSES.

    Raises:
        VgilError: to send to sleep a robot whose contract has no pose for that.
    """
    if pose == "sleep" and not any(arm.arm.sleep for arm in layout.arms):
        raise VgilError(f"robot '{layout.contract.name}' has no pose to sleep in: arms[0].sleep must be given")
    ways = {"home": ["home"], "wake": ["start"], "sleep": ["home", "sleep"], "hold": []}
    return [_pose(layout, key) for key in ways[pose]]


def _pose(layout: Layout, key: str) -> np.ndarray:
    parts = [a.command.normalise(np.asarray(getattr(a.arm, key) or a.arm.home, np.float64)) for a in layout.arms]
    return np.concatenate(parts)


class PoseCourse:
    """Goes through poses on straight lines in joint space.

    Args:
        layout: the robot.
        poses: (J,) each; none: it stays where it begins, for as long as it is asked.
        speed: share of the velocity limits.

    Attributes:
        done: every pose was reached.
        failure: what did not arrive; None while that is not so.
    """

    def __init__(self, layout: Layout, poses: Sequence[np.ndarray], speed: float) -> None:
        velocity = layout.limit("velocity")
        assert velocity is not None
        self._names = layout.joint_names
        self._slow = velocity * speed
        self._poses = list(poses)
        self._stays = not self._poses
        self._gripper = np.array([i in {a.gripper_column for a in layout.arms} for i in range(layout.joints)])
        self._since_ns: int | None = None  # the pose is commanded
        self.done = False
        self.failure: str | None = None

    def next(self, now_ns: int, period_s: float, last: np.ndarray, measured: np.ndarray) -> np.ndarray:
        """Return what to command now, (J,).

        Args:
            now_ns: the time.
            period_s: until the next command.
            last: (J,) what was commanded last; where the robot is, before anything was.
            measured: (J,) where it is.
        """
        if self._stays or self.done:
            return last
        goal = self._poses[0]
        way = goal - last
        if np.abs(way).max() <= COMMANDED:
            self._arrive(now_ns, goal, measured)
            return goal
        self._since_ns = None
        ticks = float(np.max(np.abs(way) / (self._slow * period_s)))
        result: np.ndarray = last + way / max(ticks, 1.0)
        return result

    def _arrive(self, now_ns: int, goal: np.ndarray, measured: np.ndarray) -> None:
        """Grippers may close on things; every other joint must come to where it was sent."""
        self._since_ns = now_ns if self._since_ns is None else self._since_ns
        away = np.where(self._gripper, 0.0, np.abs(goal - measured))
        if (away <= ARRIVED).all():
            self._poses.pop(0)
            self._since_ns = None
            self.done = not self._poses
        elif now_ns - self._since_ns > PATIENCE_NS:
            i = int(np.argmax(away))
            self.failure = f"{self._names[i]} is at {measured[i]:.3g}, its pose is {goal[i]:.3g}: it does not get there"
