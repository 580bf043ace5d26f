"""One arm that is moved by hand: its master's position, tick by tick. The tip, the gripper, and slow ways to a pose."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.robots.jog.settings import JogSettings
from vgil_ros.robots.jog.smoothing import MovingAverage
from vgil_ros.robots.jog.tip import TipMotion

EASE_S = 0.3  # in which a way to a pose reaches its speed, and loses it again
THERE = 1e-4  # rad


class JoggedArm:
    """Positions (J,) are in units of the action (rad; gripper 0..1).

    Args:
        layout: the robot.
        arm: which arm of it.
        settings: speeds.

    Attributes:
        tip: its motion.
        position: where the master is; None before `begin`.
        goal: where it goes by itself; None where it does not.
    """

    def __init__(self, layout: Layout, arm: ArmLayout, settings: JogSettings) -> None:
        self.name, self._settings = arm.arm.name, settings
        self.tip = TipMotion(layout, arm, settings.joint_speed, settings.tip)
        column = arm.gripper_column
        self.gripper = None if column is None else column - arm.columns.start
        velocity = layout.limit("velocity")
        assert velocity is not None
        self._velocity = velocity[arm.columns]
        self._lower, self._upper = layout.lower[arm.columns].copy(), layout.upper[arm.columns].copy()
        if self.gripper is not None:
            self._lower[self.gripper] = max(self._lower[self.gripper], 0.0)
            self._upper[self.gripper] = min(self._upper[self.gripper], 1.0)
        self._home = layout.home[arm.columns]
        self._smooth = MovingAverage(6, settings.smooth_s)
        self._in_tool = False
        self.position: np.ndarray | None = None
        self.goal: np.ndarray | None = None
        self._grip_goal: float | None = None
        self._going_s = 0.0

    @property
    def gripping(self) -> bool:
        """Whether the gripper goes to an opening by itself."""
        return self._grip_goal is not None

    def begin(self, measured: np.ndarray) -> None:
        """Stand where the puppet was measured, (J,): nothing moves. A gripper beyond its range is closed, or open."""
        self.position = np.array(measured, np.float64)
        if self.gripper is not None:
            low, high = self._lower[self.gripper], self._upper[self.gripper]
            self.position[self.gripper] = min(max(self.position[self.gripper], low), high)
        self.halt()

    def forget(self) -> None:
        """It is not known where the puppet is."""
        self.position = None
        self.halt()

    def halt(self) -> None:
        """Stand still at once, whatever was under way."""
        self._smooth.clear()
        self.tip.rest()
        self.goal = self._grip_goal = None

    def go_home(self) -> None:
        """Go slowly to the contract's home; what the gripper holds it keeps."""
        self.go_to(self._home)

    def go_to(self, goal: np.ndarray) -> None:
        """Go slowly to a position (J,), straight in joint space; the gripper stays as it is."""
        self.halt()
        self.goal, self._going_s = np.clip(goal, self._lower, self._upper), 0.0

    def grip_to(self, opening: float) -> None:
        """Bring the gripper to an opening, 0..1."""
        if self.gripper is not None:
            self._grip_goal = min(max(opening, float(self._lower[self.gripper])), float(self._upper[self.gripper]))

    def grip_toggle(self) -> None:
        """Close a gripper that is more than half open, or opening; open it otherwise."""
        if self.gripper is None or self.position is None:
            return
        now = self.position[self.gripper] if self._grip_goal is None else self._grip_goal
        self.grip_to(0.0 if now > 0.5 else 1.0)

    def step(self, dt: float, twist: np.ndarray, in_tool: bool, grip: float) -> None:
        """Go on by `dt` seconds.

        Args:
            dt: s.
            twist: wanted (6,) m/s, rad/s.
            in_tool: its axes are the tip's, else those of the arm's base.
            grip: opening of the gripper, in shares of its speed, -1..1.
        """
        if self.position is None:
            return
        if np.any(twist):
            self.goal = None
            if in_tool != self._in_tool:  # what the smoothing holds still is in the other axes
                self._smooth.clear()
            self._in_tool = in_tool
        wanted = self._smooth.step(dt, twist)
        if self.goal is not None:
            self._go_on(self.goal, dt)
        elif np.any(wanted):
            self.position = self.tip.step(self.position, wanted, self._in_tool, dt)
        else:
            self.tip.rest()
        self._grip(dt, grip)

    def _go_on(self, goal: np.ndarray, dt: float) -> None:
        assert self.position is not None
        way = goal - self.position
        if self.gripper is not None:
            way[self.gripper] = 0.0
        self._going_s += dt
        left_s = float(np.max(np.abs(way) / (self._settings.home_speed * self._velocity)))
        if np.abs(way).max() < THERE:
            self.position = self.position + way
            self.goal = None
            return
        pace = min(1.0, self._going_s / EASE_S, 0.02 + left_s / EASE_S)
        self.position = self.position + way * min(1.0, pace * dt / left_s)

    def _grip(self, dt: float, grip: float) -> None:
        if self.gripper is None or self.position is None:
            return
        now = float(self.position[self.gripper])
        step = min(self._settings.gripper_speed, float(self._velocity[self.gripper])) * dt
        if grip:
            self._grip_goal = None
            now += min(max(grip, -1.0), 1.0) * step
        elif self._grip_goal is not None:
            way = self._grip_goal - now
            now += min(max(way, -step), step)
            if abs(way) <= step:
                self._grip_goal = None
        self.position[self.gripper] = min(max(now, float(self._lower[self.gripper])), float(self._upper[self.gripper]))
