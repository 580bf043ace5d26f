"""The MuJoCo model of a contract's robot, on a table, with a task's things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.arm_model import workspace_centre
from vgil_ros.robots.sim.arm import SimArm
from vgil_ros.robots.sim.cameras import add_camera, view_of
from vgil_ros.robots.sim.scenery import add_scenery
from vgil_ros.robots.sim.tasks import Task

PHYSICS_DT = 0.002  # s
FRAME = "robot_frame"
GRIPPER_LINK = "gripper_link"  # of a URDF: what carries a wrist camera
BASE_JOINTS = ("base_x", "base_y", "base_yaw")


def build_model(contract: Contract, arms: Sequence[SimArm], task: Task) -> Any:
    """Return the compiled mujoco.MjModel.

    Raises:
        VgilError: for a camera that has no place.
    """
    spec = mujoco.MjSpec()
    spec.modelname = f"{contract.name} {task.name}"
    spec.compiler.degree = False
    _physics(spec)
    centre = workspace_centre([arm.model for arm in arms])
    mounts = np.array([arm.arm.mount.xyz[:2] for arm in arms])
    half = np.abs(np.vstack([mounts - centre[:2], [[0.35, 0.3]]])).max(axis=0)
    add_scenery(spec, centre[:2], (float(half[0]) + 0.17, float(half[1]) + 0.12))
    frame = spec.worldbody.add_body(name=FRAME)
    if contract.base is not None:
        _add_base(frame)
    for arm in arms:
        arm.add(spec, frame)
    _add_cameras(spec, frame, contract, arms, centre)
    task.add(spec)
    model = spec.compile()
    for arm in arms:
        arm.bind(model)
    task.bind(model)
    return model


def _physics(spec: Any) -> None:
    option = spec.option
    option.timestep = PHYSICS_DT
    option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC  # with impratio: what is held does not creep out of the fingers
    option.impratio = 10.0
    spec.visual.map.znear = 0.005
    spec.visual.map.zfar = 10.0
    spec.visual.quality.offsamples = 0  # smoothed edges cost three times the image
    spec.visual.quality.shadowsize = 4096
    spec.stat.extent = 1.5


def _add_base(frame: Any) -> None:
    """A frame that drives over the floor. Its motion is prescribed: nothing on the table pushes a mobile base."""
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for name, kind, axis in zip(BASE_JOINTS, (slide, slide, hinge), np.eye(3), strict=True):
        frame.add_joint(name=name, type=kind, axis=axis, armature=1e4)
    frame.mass, frame.inertia, frame.explicitinertial = 50.0, [5.0, 5.0, 5.0], True


def _add_cameras(spec: Any, frame: Any, contract: Contract, arms: Sequence[SimArm], centre: np.ndarray) -> None:
    by_name = {arm.arm.name: arm for arm in arms}
    for camera in contract.cameras:
        view = view_of(camera, list(by_name))
        if view.arm is not None:
            gripper = spec.body(by_name[view.arm].name(GRIPPER_LINK))
            if gripper is None:
                urdf = by_name[view.arm].arm.urdf
                raise VgilError(f"camera '{camera.name}' needs a link '{GRIPPER_LINK}' to sit on; {urdf} has none")
            add_camera(gripper, camera.name, view.eye, view.at, view.fovy)
        else:
            origin = np.zeros(3) if view.given else centre
            add_camera(frame, camera.name, origin + view.eye, origin + view.at, view.fovy)
