"""An arm of a contract and the URDF it names: the contract's joints and units on one side, the URDF's on the other.

Joints are matched by name. The contract's gripper joint is the URDF's finger joint whatever it is called and
measured in: its (closed, open) range is laid onto the finger's travel.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.contract import Arm
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.kinematics import Kinematics
from vgil_ros.robots.transforms import pose_rpy
from vgil_ros.robots.urdf import Visual, load_urdf, urdf_names

GRASP_LINK = "grasp_link"
REACH = 0.47  # m from an arm's mount to the middle of its workspace


@dataclass(frozen=True)
class JointStates:
    """What a driver would publish: arrays (J,) in the contract's units, by name; effort in Nm or N."""

    names: tuple[str, ...]
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray


class ArmModelError(VgilError):
    """An arm whose joints are not those of its URDF."""


class ArmModel:
    """Kinematics of one arm in the names and units of its contract.

    Attributes:
        arm: the contract's part.
        urdf: the robot it names.
        kinematics: with the arm's mount as root.
        joints: the URDF's joint for each of `arm.joints`.
        finger: the URDF's driven finger joint, or None.

    Raises:
        ArmModelError: where the URDF is not named, not known, or does not have the arm's joints.
    """

    def __init__(self, arm: Arm) -> None:
        if arm.urdf is None:
            raise ArmModelError(f"arm '{arm.name}' names no urdf; allowed: {urdf_names()}")
        self.arm = arm
        self.urdf = load_urdf(arm.urdf)
        self.kinematics = Kinematics(self.urdf, pose_rpy(arm.mount.xyz, arm.mount.rpy))
        fingers = [name for name in self.urdf.driven if self.urdf.by_name[name].kind == "prismatic"]
        self.finger = fingers[0] if fingers and arm.gripper else None
        gripper = arm.gripper.joint if arm.gripper else None
        self.joints = tuple(self.finger if self.finger and joint == gripper else joint for joint in arm.joints)
        wrong = [joint for joint, own in zip(arm.joints, self.joints, strict=True) if own not in self.urdf.driven]
        missing = [joint for joint in self.urdf.driven if joint not in self.joints]
        if wrong or missing:
            raise ArmModelError(
                f"arm '{arm.name}': {arm.urdf} has no joint {wrong} and also needs {missing};"
                f" allowed: {list(self.urdf.driven)}, where the gripper's joint stands for '{fingers and fingers[0]}'"
            )
        self._scale, self._offset = self._finger_map()

    def _finger_map(self) -> tuple[np.ndarray, np.ndarray]:
        scale, offset = np.ones(len(self.joints)), np.zeros(len(self.joints))
        if self.finger and self.arm.gripper:
            closed, opened = self.arm.gripper.puppet_range
            joint, column = self.urdf.by_name[self.finger], self.joints.index(self.finger)
            scale[column] = (joint.upper - joint.lower) / (opened - closed)
            offset[column] = joint.lower - closed * scale[column]
        return scale, offset

    def to_urdf(self, position: np.ndarray) -> np.ndarray:
        """Positions (J,) of the contract (rad; the gripper in its own unit) -> of the URDF (rad, m)."""
        result: np.ndarray = position * self._scale + self._offset
        return result

    def from_urdf(self, position: np.ndarray) -> np.ndarray:
        """Positions (J,) of the URDF -> of the contract."""
        result: np.ndarray = (position - self._offset) / self._scale
        return result

    def rate_from_urdf(self, rate: np.ndarray) -> np.ndarray:
        """Speeds (J,) of the URDF -> of the contract."""
        result: np.ndarray = rate / self._scale
        return result

    def named(self, position: np.ndarray) -> dict[str, float]:
        """Positions (J,) of the contract -> the URDF's, by name."""
        return dict(zip(self.joints, self.to_urdf(np.asarray(position, np.float64)).tolist(), strict=True))

    def link_poses(self, positions: Mapping[str, float]) -> list[tuple[Visual, np.ndarray, np.ndarray]]:
        """Return each visual with its xyz (3,) m and quat_xyzw (4,) in the fixed frame.

        Args:
            positions: by the contract's joint names; a joint that is missing stands at home.
        """
        home = zip(self.arm.joints, self.arm.home, strict=True)
        position = np.array([positions.get(joint, at) for joint, at in home])
        return self.kinematics.link_poses(self.named(position))


def workspace_centre(models: Sequence[ArmModel]) -> np.ndarray:
    """Return the middle (3,) m of the space that the arms share, on the table's top."""
    reaches = [model.kinematics.mount @ [REACH, 0.0, 0.0, 1.0] for model in models]
    return np.array([*np.mean(reaches, axis=0)[:2], 0.0])
