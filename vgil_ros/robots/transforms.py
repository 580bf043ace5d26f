"""Rigid transforms as (4, 4) matrices. Angles in rad, lengths in metres, quaternions x, y, z, w."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Vector = Sequence[float] | np.ndarray


def rotation_rpy(rpy: Vector) -> np.ndarray:
    """Return the (3, 3) rotation of fixed-axis roll, pitch, yaw (URDF's convention: Rz @ Ry @ Rx)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy), np.sin(rpy)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rotation_about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Return the (3, 3) rotation by `angle` about a unit `axis` (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    result: np.ndarray = np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * (cross @ cross)
    return result


def rotation_vector(rotation: np.ndarray) -> np.ndarray:
    """Return axis times angle, (3,) rad, of a (3, 3) rotation; the inverse of `rotation_about`."""
    x, y, z, w = quat_xyzw(rotation)
    vector = np.array([x, y, z]) * (1.0 if w >= 0 else -1.0)
    sine = float(np.linalg.norm(vector))
    return 2.0 * vector if sine < 1e-9 else vector * (2.0 * np.arctan2(sine, abs(w)) / sine)


def quat_xyzw(rotation: np.ndarray) -> np.ndarray:
    """Return the unit quaternion (4,) of a (3, 3) rotation.

    The largest component is found first, so that no division is by a small number (Shepperd 1978).
    """
    m = rotation
    trace = m[0, 0] + m[1, 1] + m[2, 2]
    squares = np.array([m[0, 0], m[1, 1], m[2, 2], trace])
    i = int(np.argmax(squares))
    quat = np.empty(4)
    if i == 3:
        quat[:] = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], 1.0 + trace
    else:
        j, k = (i + 1) % 3, (i + 2) % 3
        quat[i] = 1.0 - trace + 2.0 * m[i, i]
        quat[j] = m[j, i] + m[i, j]
        quat[k] = m[k, i] + m[i, k]
        quat[3] = m[k, j] - m[j, k]
    return quat / np.linalg.norm(quat)


def rotation_quat(quat: np.ndarray) -> np.ndarray:
    """Rotation matrix (3, 3) of a unit quaternion quat_xyzw (4,)."""
    x, y, z, w = (float(value) for value in quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose(xyz: Vector = (0.0, 0.0, 0.0), rotation: np.ndarray | None = None) -> np.ndarray:
    """Return the (4, 4) transform of a translation and a (3, 3) rotation."""
    matrix = np.eye(4)
    matrix[:3, 3] = xyz
    if rotation is not None:
        matrix[:3, :3] = rotation
    return matrix


def pose_rpy(xyz: Vector, rpy: Vector) -> np.ndarray:
    """Return the (4, 4) transform of a translation and roll, pitch, yaw."""
    return pose(xyz, rotation_rpy(rpy))
