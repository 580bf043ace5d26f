"""A ball at the gripper in the 3-D scene: where it is dragged to, the gripper follows, while it is held."""

from __future__ import annotations

from typing import Any

import numpy as np

from vgil_ros.web.link import RobotView
from vgil_ros.web.pages.teach.leading import Leading
from vgil_ros.web.parts.robot_scene import RobotScene

BALL = "gripper"
RADIUS = 0.03  # m
COLOR, HELD = "#1565c0", "#ff8c1a"
NEAR = 1e-3  # m; the browser is not told of less
FRESH_S = 0.5  # states of joints that are older are drawn faintly


class DraggedGripper:
    """The ball.

    Args:
        scene: that it is in.
        leading: what follows it.
    """

    def __init__(self, scene: RobotScene, leading: Leading) -> None:
        self._scene, self._leading = scene, leading
        with scene.scene as drawn:
            self._ball = drawn.sphere(RADIUS, width_segments=20, height_segments=12).material(COLOR, 0.6)
            self._ball.with_name(BALL).draggable()
        for event in ("dragstart", "drag", "dragend"):
            drawn.on(event, self._on_drag, throttle=0.05 if event == "drag" else 0.0)
        self._dragged = False
        self._at: np.ndarray | None = None  # where it is drawn, (3,) m

    def _on_drag(self, event: Any) -> None:
        """The browser says where it is; it is moved by nobody else meanwhile."""
        said = event.args
        if not isinstance(said, dict) or said.get("object_name") != BALL:
            return
        point = np.array([float(said[axis]) for axis in "xyz"])
        self._dragged = said.get("type") != "dragend" and bool(np.isfinite(point).all())
        self._ball.material(HELD if self._dragged else COLOR, 0.6)
        self._at = None
        self._leading.hand.target = self._leading.in_base(point) if self._dragged else None
        self._leading.wake()

    def show(self, view: RobotView) -> None:
        """Draw the robot as it is, and the ball at the gripper."""
        for name, arm in view.arms.items():
            self._scene.pose(name, arm.measured, fresh=arm.age_s is not None and arm.age_s < FRESH_S)
        if self._dragged and self._leading.hand.target is None:  # let go of by something else
            self._dragged = False
        chosen = view.arms.get(self._leading.hand.arm)
        tip = None if chosen is None else self._leading.tip(chosen)
        moved = tip is not None and (self._at is None or float(np.abs(tip - self._at).max()) > NEAR)
        if tip is not None and moved and not self._dragged:
            self._at = tip
            self._ball.move(*(float(value) for value in tip))
