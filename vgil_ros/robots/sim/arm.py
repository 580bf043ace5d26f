"""One simulated puppet: its bodies and servos, made from the URDF's parse, and its part of the state."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np

from vgil_ros.robots.arm_model import ArmModel, JointStates
from vgil_ros.robots.sim.scenery import EVERYTHING, WORLD_BIT
from vgil_ros.robots.transforms import pose_rpy, quat_xyzw
from vgil_ros.robots.urdf import Joint, Link, Shape

# A servo pulls with GAIN times its effort per unit (rad or m) of error. With the damping LAG (s) times that gain it
# trails a moving command by about LAG, as the real arms do, and all joints by the same.
GAIN = 15.0
FINGER_GAIN = 80.0
LAG = 0.05
GEOMS = {"box": "mjGEOM_BOX", "cylinder": "mjGEOM_CYLINDER", "sphere": "mjGEOM_SPHERE"}


class SimArm:
    """A puppet in the world. Made before the model is compiled, bound to it afterwards."""

    def __init__(self, model: ArmModel, index: int) -> None:
        self.model = model
        self.arm = model.arm
        self._bit = WORLD_BIT << (1 + index)
        limits = self.arm.limits
        self.lower, self.upper = np.asarray(limits.lower), np.asarray(limits.upper)
        self.velocity = np.asarray(limits.velocity)
        self.home = np.asarray(self.arm.home, np.float64)

    def name(self, part: str) -> str:
        """Name of a link or joint of this arm in the model."""
        return f"{self.arm.name}/{part}"

    def add(self, spec: Any, frame: Any) -> None:
        """Add the arm's bodies, joints and servos to `frame` (a body of the MjSpec)."""
        mount = pose_rpy(self.arm.mount.xyz, self.arm.mount.rpy)
        urdf = self.model.urdf
        bodies = {urdf.root: self._body(frame, urdf.links[urdf.root], mount)}
        for joint in urdf.joints:
            body = self._body(bodies[joint.parent], urdf.links[joint.child], joint.origin)
            bodies[joint.child] = body
            if joint.moves:
                self._joint(spec, body, joint)

    def _body(self, parent: Any, link: Link, origin: np.ndarray) -> Any:
        body = parent.add_body(name=self.name(link.name), pos=origin[:3, 3], quat=_wxyz(origin), gravcomp=1)
        if link.inertial is not None:
            body.mass, body.inertia = link.inertial.mass, link.inertial.diagonal
            body.ipos, body.explicitinertial = link.inertial.centre, True
        for shape in link.visuals:
            body.add_geom(**_geom(shape), rgba=shape.rgba, contype=0, conaffinity=0, group=1, mass=0)
        for number, shape in enumerate(link.collisions):
            body.add_geom(
                **_geom(shape),
                name=self.name(f"{link.name}/{number}"),
                contype=self._bit,
                conaffinity=EVERYTHING & ~self._bit,  # an arm meets all but itself
                group=3,
                mass=0,
                condim=4,
                friction=[1.5, 0.02, 0.001],
                solref=[0.008, 1],
                priority=1,
            )
        return body

    def _joint(self, spec: Any, body: Any, joint: Joint) -> None:
        slides = joint.kind == "prismatic"
        body.add_joint(
            name=self.name(joint.name),
            type=mujoco.mjtJoint.mjJNT_SLIDE if slides else mujoco.mjtJoint.mjJNT_HINGE,
            axis=joint.axis,
            range=[joint.lower, joint.upper],
            limited=True,
            armature=0.2 if slides else 0.02,
            actgravcomp=True,
        )
        if joint.mimic is not None:
            equality = spec.add_equality(
                type=mujoco.mjtEq.mjEQ_JOINT,
                objtype=mujoco.mjtObj.mjOBJ_JOINT,
                name1=self.name(joint.name),
                name2=self.name(joint.mimic.joint),
                solref=[0.004, 1],
            )
            data = equality.data.copy()  # its length depends on MuJoCo's version
            data[:5] = joint.mimic.offset, joint.mimic.multiplier, 0.0, 0.0, 0.0
            equality.data = data
            return
        gain = joint.effort * (FINGER_GAIN if slides else GAIN)
        actuator = spec.add_actuator(
            name=self.name(joint.name),
            target=self.name(joint.name),
            trntype=mujoco.mjtTrn.mjTRN_JOINT,
            gaintype=mujoco.mjtGain.mjGAIN_FIXED,
            biastype=mujoco.mjtBias.mjBIAS_AFFINE,
            forcelimited=True,
            forcerange=[-joint.effort, joint.effort],
        )
        gains, bias = actuator.gainprm.copy(), actuator.biasprm.copy()
        gains[0], bias[1], bias[2] = gain, -gain, -gain * LAG
        actuator.gainprm, actuator.biasprm = gains, bias

    def bind(self, model: Any) -> None:
        """Find the arm's places in the compiled model."""
        joints = [model.joint(self.name(joint)) for joint in self.model.joints]
        self._qpos = np.array([int(joint.qposadr[0]) for joint in joints])
        self._dofs = np.array([int(joint.dofadr[0]) for joint in joints])
        self._ctrl = np.array([model.actuator(self.name(joint)).id for joint in self.model.joints])
        mimics = [(joint.name, joint.mimic) for joint in self.model.urdf.joints if joint.mimic is not None]
        self._mimics = [(int(model.joint(self.name(name)).qposadr[0]), mimic) for name, mimic in mimics]
        fingers = [j.child for j in self.model.urdf.joints if j.kind == "prismatic"]
        bodies = [model.body(self.name(link)).id for link in fingers]
        self.finger_geoms = frozenset(int(g) for g in range(model.ngeom) if model.geom_bodyid[g] in bodies)

    def place(self, data: Any, position: np.ndarray) -> None:
        """Put the arm at `position` (J,) in the contract's units, at rest, its servos holding it there."""
        own = self.model.to_urdf(position)
        data.qpos[self._qpos] = own
        for address, mimic in self._mimics:
            data.qpos[address] = mimic.multiplier * own[self.model.joints.index(mimic.joint)] + mimic.offset
        data.ctrl[self._ctrl] = own
        self.setpoint = np.array(position, np.float64)

    def follow(self, data: Any, command: np.ndarray, dt: float) -> None:
        """Move the servos' setpoint towards `command` (J,), within the limits of place and speed, for `dt` seconds."""
        wanted = np.clip(command, self.lower, self.upper)
        reach = self.velocity * dt
        self.setpoint = self.setpoint + np.clip(wanted - self.setpoint, -reach, reach)
        data.ctrl[self._ctrl] = self.model.to_urdf(self.setpoint)

    def states(self, data: Any) -> JointStates:
        """What the arm measures now."""
        position = self.model.from_urdf(data.qpos[self._qpos])
        velocity = self.model.rate_from_urdf(data.qvel[self._dofs])
        effort = data.qfrc_actuator[self._dofs].copy()
        gripper = self.arm.gripper
        if gripper is None or gripper.feedback is None:
            return JointStates(self.arm.puppet_joints, position, velocity, effort)
        column = self.arm.joints.index(gripper.joint)
        (closed, opened), (low, high) = gripper.puppet_range, gripper.feedback.range
        ratio = (high - low) / (opened - closed)
        return JointStates(
            (*self.arm.puppet_joints, gripper.feedback.joint),
            np.append(position, low + (position[column] - closed) * ratio),
            np.append(velocity, velocity[column] * ratio),
            np.append(effort, effort[column]),
        )


def _geom(shape: Shape) -> dict[str, Any]:
    size = list(shape.size)
    if shape.kind == "box":
        size = [x / 2 for x in size]
    elif shape.kind == "cylinder":
        size = [size[0], size[1] / 2]
    return {
        "type": getattr(mujoco.mjtGeom, GEOMS[shape.kind]),
        "size": [*size, *[0.0] * (3 - len(size))],
        "pos": shape.origin[:3, 3],
        "quat": _wxyz(shape.origin),
    }


def _wxyz(matrix: np.ndarray) -> np.ndarray:
    return np.roll(quat_xyzw(matrix[:3, :3]), 1)
