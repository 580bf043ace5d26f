"""A robot in 3-D: the primitives of its arms' URDFs, posed by joint positions, and the paths of its grippers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np
from nicegui import ui
from nicegui.elements.scene.objects import Object3D, PointCloud

from vgil_ros.core.contract import Contract
from vgil_ros.robots.arm_model import GRASP_LINK, ArmModel, workspace_centre
from vgil_ros.robots.transforms import rotation_quat
from vgil_ros.robots.urdf import Visual
from vgil_ros.web.link import ArmView, RobotView

COLORS = ("#ff8c1a", "#3399ff", "#9c27b0", "#00897b")  # of the paths, by arm
FAINT = 0.25  # opacity of what is not fresh
FRESH_S = 1.0  # an arm that was heard so lately is drawn solid
MOVED = 1e-3  # rad (m, of a finger); a browser is not told of less
STEP = 2  # of a path's actions, one point
POINT = 0.012  # m
EYE, LOOK_AT = np.array([0.0, -1.1, 0.8]), np.array([0.0, 0.0, 0.15])  # m from the middle of the workspace


class RobotScene:
    """A scene with a robot in it. Arms whose contract names no URDF are not drawn.

    Args:
        contract: the robot.
        height: CSS height.
    """

    def __init__(self, contract: Contract, height: str = "26rem") -> None:
        self.models = {arm.name: ArmModel(arm) for arm in contract.arms if arm.urdf}
        self.scene = ui.scene(width=640, height=420, grid=(2, 20), background_color="#cfd8dc", fps=10)
        self.scene.classes("w-full").style(f"height: {height}").props('role=img aria-label="the robot in 3-D"')
        self._arms = contract.arms
        self._parts: dict[str, list[Object3D]] = {}
        self._drawn: dict[str, tuple[np.ndarray | None, bool | None]] = {}  # position, and whether faintly
        self._paths: dict[str, PointCloud] = {}
        with self.scene:
            for name, model in self.models.items():
                self._parts[name] = [self._part(visual) for visual, _, _ in model.link_poses({})]
                self.pose(name, None)
        centre = workspace_centre(list(self.models.values())) if self.models else np.zeros(3)
        eye, look_at = (centre + EYE).tolist(), (centre + LOOK_AT).tolist()
        self.scene.move_camera(eye[0], eye[1], eye[2], look_at[0], look_at[1], look_at[2], duration=0)

    @property
    def empty(self) -> bool:
        """Whether no arm can be drawn."""
        return not self.models

    def _part(self, visual: Visual) -> Object3D:
        size = visual.size
        if visual.kind == "box":
            part: Object3D = self.scene.box(size[0], size[1], size[2])
        elif visual.kind == "cylinder":
            part = self.scene.cylinder(size[0], size[0], size[1], radial_segments=24)
        else:
            part = self.scene.sphere(size[0], width_segments=20, height_segments=12)
        return part.material("#" + "".join(f"{round(255 * channel):02x}" for channel in visual.rgba[:3]))

    def pose(self, arm: str, position: np.ndarray | None, *, fresh: bool = True) -> None:
        """Pose an arm.

        Args:
            arm: its name.
            position: (J,) in the contract's order and units; None: at home, faintly.
            fresh: False draws it faintly.
        """
        model = self.models.get(arm)
        if model is None:
            return
        shown = np.full(len(model.arm.joints), np.nan) if position is None else np.asarray(position, np.float64)
        drawn, faint = self._drawn.get(arm, (None, None))
        still = drawn is not None and np.allclose(shown, drawn, rtol=0.0, atol=MOVED, equal_nan=True)
        if still and faint == (not fresh):
            return
        self._drawn[arm] = (shown, not fresh)
        named = {} if position is None else dict(zip(model.arm.joints, shown.tolist(), strict=True))
        opacity = 1.0 if fresh and position is not None else FAINT
        with self._at_once():
            self._place(arm, model, named, opacity)

    def _at_once(self) -> contextlib.AbstractContextManager[object]:
        """All that is told of the scene within goes to the browser as one message, where NiceGUI knows how."""
        batch = getattr(self.scene, "_batch_calls", contextlib.nullcontext)
        found: contextlib.AbstractContextManager[object] = batch()
        return found

    def _place(self, arm: str, model: ArmModel, named: Mapping[str, float], opacity: float) -> None:
        for part, (visual, xyz, quat_xyzw) in zip(self._parts[arm], model.link_poses(named), strict=True):
            rotation = rotation_quat(quat_xyzw)
            if visual.kind == "cylinder":  # the scene's own stand along y, a URDF's along z
                rotation = rotation @ np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
            part.move(*(float(value) for value in xyz))
            part.rotate_R(rotation.tolist())
            if part.opacity != opacity:
                part.material(part.color, opacity)

    def tip(self, arm: str, position: np.ndarray) -> np.ndarray:
        """(3,) m of an arm's gripper at a position (J,), in the fixed frame; NaN for an arm that is not drawn."""
        model = self.models.get(arm)
        if model is None or GRASP_LINK not in model.kinematics.forward(model.named(position)):
            return np.full(3, np.nan)
        pose: np.ndarray = model.kinematics.forward(model.named(position))[GRASP_LINK]
        return pose[:3, 3]

    def path(self, arm: str, positions: Sequence[np.ndarray] | np.ndarray) -> None:
        """Draw the way of an arm's gripper through positions (N, J); none takes it away."""
        points = [self.tip(arm, position) for position in positions[::STEP]]
        shown = [point.tolist() for point in points if np.isfinite(point).all()]
        cloud = self._paths.get(arm)
        if cloud is None:
            if not shown:
                return
            with self.scene:  # what is culled is decided by the first points alone: these two reach around everything
                around = [[0.0, 0.0, -9.0], [0.0, 0.0, 9.0]]
                cloud = self._paths[arm] = self.scene.point_cloud(around, point_size=POINT)
        index = list(self.models).index(arm)
        color = [int(COLORS[index % len(COLORS)][at : at + 2], 16) / 255 for at in (1, 3, 5)]
        shown = shown or [[0.0, 0.0, -9.0]]  # none would be drawn as before
        cloud.set_points(shown, [color] * len(shown))

    def show(self, view: RobotView) -> None:
        """Pose all arms as they are measured, and draw the ways of their grippers through the coming chunk."""
        first = 0
        for arm in self._arms:
            seen = view.arms.get(arm.name, ArmView())
            self.pose(arm.name, seen.measured, fresh=seen.age_s is not None and seen.age_s < FRESH_S)
            columns = slice(first, first + len(arm.joints))
            self.path(arm.name, [] if view.chunk is None else view.chunk[:, columns])
            first += len(arm.joints)
