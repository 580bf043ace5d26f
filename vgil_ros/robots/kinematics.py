"""Forward kinematics of a URDF in numpy, and its inverse by damped least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.transforms import pose, quat_xyzw, rotation_about, rotation_vector
from vgil_ros.robots.urdf import Joint, Urdf, Visual


class KinematicsError(VgilError):
    """A pose that the arm cannot reach, or a joint it does not have."""


class Kinematics:
    """Where the links of one robot are.

    Args:
        urdf: the robot.
        mount: (4, 4) pose of its root link in the fixed frame.
    """

    def __init__(self, urdf: Urdf, mount: np.ndarray | None = None) -> None:
        self.urdf = urdf
        self.mount = pose() if mount is None else mount

    def forward(self, positions: Mapping[str, float]) -> dict[str, np.ndarray]:
        """Return the pose (4, 4) of each link in the fixed frame.

        Args:
            positions: rad or m by joint name. Mimic joints follow theirs and need not be given.

        Raises:
            KinematicsError: where a driven joint is missing.
        """
        missing = [name for name in self.urdf.driven if name not in positions]
        if missing:
            raise KinematicsError(f"no position for joints {missing}; needed: {list(self.urdf.driven)}")
        links = {self.urdf.root: self.mount}
        for joint in self.urdf.joints:
            links[joint.child] = links[joint.parent] @ joint.origin @ _motion(joint, _position(joint, positions))
        return links

    def link_poses(self, positions: Mapping[str, float]) -> list[tuple[Visual, np.ndarray, np.ndarray]]:
        """Return each visual with its xyz (3,) m and quat_xyzw (4,) in the fixed frame."""
        links = self.forward(positions)
        poses = []
        for link in self.urdf.links.values():
            for visual in link.visuals:
                where = links[link.name] @ visual.origin
                poses.append((visual, where[:3, 3].copy(), quat_xyzw(where[:3, :3])))
        return poses

    def jacobian(self, links: Mapping[str, np.ndarray], tip: str, joints: Sequence[str]) -> np.ndarray:
        """Return (6, J): velocity (m/s) and angular velocity (rad/s) of link `tip` per unit speed of each joint.

        Args:
            links: what `forward` returned.
            tip: a link that hangs on all of `joints`.
            joints: names of the columns.
        """
        kinds = [self.urdf.by_name[name] for name in joints]
        frames = np.stack([links[joint.parent] @ joint.origin for joint in kinds])
        axes = (frames[:, :3, :3] @ np.stack([joint.axis for joint in kinds])[:, :, None])[:, :, 0]
        slides = np.array([joint.kind == "prismatic" for joint in kinds])
        columns = np.zeros((6, len(joints)))
        columns[:3] = np.where(slides[:, None], axes, np.cross(axes, links[tip][:3, 3] - frames[:, :3, 3])).T
        columns[3:, ~slides] = axes[~slides].T
        return columns

    def inverse(
        self,
        tip: str,
        target: np.ndarray,
        joints: Sequence[str],
        start: Mapping[str, float],
        *,
        tolerance: float = 5e-4,
        iterations: int = 200,
    ) -> np.ndarray:
        """Return positions (J,) of `joints` that bring link `tip` to the pose `target` (4, 4) in the fixed frame.

        Damped least squares (Wampler 1986), kept within the joint limits, from `start` (all driven joints).

        Raises:
            KinematicsError: where the pose is not reached within `tolerance` (m, rad).
        """
        lower = np.array([self.urdf.by_name[name].lower for name in joints])
        upper = np.array([self.urdf.by_name[name].upper for name in joints])
        positions = dict(start)
        q = np.clip([positions[name] for name in joints], lower, upper)
        error = np.full(6, np.inf)
        for _ in range(iterations):
            positions.update(zip(joints, q.tolist(), strict=True))
            links = self.forward(positions)
            error = pose_error(links[tip], target)
            if np.abs(error).max() < tolerance:
                return q
            jacobian = self.jacobian(links, tip, joints)
            damping = 1e-4 + 0.02 * min(1.0, float(error @ error))
            step = damped_step(jacobian, error, damping)
            q = np.clip(q + np.clip(step, -0.3, 0.3), lower, upper)
        xyz = np.round(target[:3, 3], 3).tolist()
        raise KinematicsError(
            f"{self.urdf.name}: '{tip}' cannot reach {xyz} m in the wanted direction;"
            f" {np.linalg.norm(error[:3]):.3f} m and {np.linalg.norm(error[3:]):.3f} rad are left"
        )


def _position(joint: Joint, positions: Mapping[str, float]) -> float:
    if joint.mimic is not None:
        return joint.mimic.multiplier * positions[joint.mimic.joint] + joint.mimic.offset
    return positions[joint.name] if joint.moves else 0.0


def _motion(joint: Joint, position: float) -> np.ndarray:
    if not joint.moves:
        return pose()
    if joint.kind == "prismatic":
        return pose(joint.axis * position)
    return pose(rotation=rotation_about(joint.axis, position))


def damped_step(jacobian: np.ndarray, wanted: np.ndarray, damping: float) -> np.ndarray:
    """Return the joint step (J,) or (J, N) that brings the tip by `wanted` (6,) or (6, N) best (Wampler 1986).

    Args:
        jacobian: (6, J).
        wanted: m and rad, or what both are weighted to.
        damping: the square of the singular value below which a direction is given up.
    """
    step: np.ndarray = jacobian.T @ np.linalg.solve(jacobian @ jacobian.T + damping * np.eye(6), wanted)
    return step


def pose_error(actual: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the way (6,) m, rad from a pose (4, 4) to another, along the fixed axes."""
    return np.concatenate([target[:3, 3] - actual[:3, 3], rotation_vector(target[:3, :3] @ actual[:3, :3].T)])
