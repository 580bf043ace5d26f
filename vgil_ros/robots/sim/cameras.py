"""Cameras of a contract in the simulated world: their poses, given or by their names, shutters and JPEGs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgil_ros.core.contract import Camera
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.transforms import Vector, quat_xyzw

# name -> (offset from the middle of the arms' workspace, what is looked at, relative to it), metres, degrees
PLACES: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "high": ((0.0, -0.40, 0.68), (0.0, 0.035, 0.07), 48.0),
    "low": ((0.0, -0.72, 0.20), (0.0, 0.0, 0.10), 55.0),
    "front": ((0.0, -0.85, 0.45), (0.0, 0.0, 0.08), 50.0),
    "top": ((0.0, -0.02, 0.95), (0.0, 0.0, 0.0), 55.0),
    "left": ((-0.75, -0.35, 0.45), (0.0, 0.0, 0.05), 55.0),
    "right": ((0.75, -0.35, 0.45), (0.0, 0.0, 0.05), 55.0),
    "show": ((0.40, -1.05, 0.58), (0.0, 0.02, 0.14), 45.0),
}
WRIST_EYE, WRIST_AT, WRIST_FOVY = (-0.01, 0.0, 0.105), (0.115, 0.0, 0.0), 66.0


@dataclass(frozen=True)
class View:
    """A camera's place: the arm whose gripper carries it (None: the frame), eye and target (m), field of view.

    `given`: by the contract, in the frame itself; else eye and target count from the middle of the arms' workspace.
    """

    camera: Camera
    arm: str | None
    eye: tuple[float, float, float]
    at: tuple[float, float, float]
    fovy: float
    given: bool = False


def view_of(camera: Camera, arms: Sequence[str]) -> View:
    """Return where a camera hangs: as the contract says, else "...wrist" on the gripper of the arm its name holds, else
    by `PLACES`.

    Raises:
        VgilError: for a wrist camera that matches no arm, a name without a place, or a camera that is not for colour.
    """
    if camera.is_depth:
        raise VgilError(f"camera '{camera.name}' has type '{camera.type}'; the simulator can make: image, compressed")
    if camera.sim is not None:
        return View(camera, camera.sim.arm, camera.sim.position, camera.sim.look_at, camera.sim.fov, given=True)
    words = camera.name.lower().split("_")
    if "wrist" in words or "hand" in words:
        holders = [arm for arm in arms if arm.lower() in words] or (list(arms) if len(arms) == 1 else [])
        if not holders:
            raise VgilError(f"camera '{camera.name}' sits on a wrist of no arm; allowed: a name with one of {arms}")
        return View(camera, holders[0], WRIST_EYE, WRIST_AT, WRIST_FOVY)
    place = next((word for word in words if word in PLACES), None)
    if place is None:
        raise VgilError(
            f"camera '{camera.name}' has no place in the simulator; allowed: a name with one of"
            f" {sorted(PLACES)} or wrist,"
            " or its place in the contract, sim: {position: [x, y, z], look_at: [x, y, z], fov: 50}"
        )
    return View(camera, None, *PLACES[place])


def add_camera(body: Any, name: str, eye: Vector, at: Vector, fovy: float) -> None:
    """Hang a camera on a body of the MjSpec; `eye` and `at` (3,) m in the body's frame."""
    back = np.subtract(eye, at)
    back = back / np.linalg.norm(back)
    up = np.array([0.0, 1.0, 0.0]) if abs(back[2]) > 0.999 else np.array([0.0, 0.0, 1.0])
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    rotation = np.column_stack([right, np.cross(back, right), back])
    body.add_camera(name=name, pos=list(eye), quat=np.roll(quat_xyzw(rotation), 1), fovy=fovy)


def tick_falls(count: int, rate_hz: float, base_hz: float) -> bool:
    """Whether a tick of a slower rate falls into tick `count` of the base rate: that of the shutters, for one."""
    return int((count + 1) * rate_hz / base_hz + 1e-9) > int(count * rate_hz / base_hz + 1e-9)


def camera_jpeg(pixels: np.ndarray) -> bytes:
    """What the driver of a camera that sends JPEG makes of pixels (H, W, 3) uint8 RGB."""
    import cv2

    return cv2.imencode(".jpg", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()
