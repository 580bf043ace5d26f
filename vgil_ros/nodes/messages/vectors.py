"""Messages of further vectors: each type's numbers, in the order in which they are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped, PoseStamped, TwistStamped, Vector3Stamped, WrenchStamped
from sensor_msgs.msg import Imu
from std_msgs.msg import Float32MultiArray, Float64MultiArray

from vgil_ros.core.contract import Vector
from vgil_ros.core.errors import VgilError


def _xyz(value: Any) -> list[float]:
    return [value.x, value.y, value.z]


def _xyzw(value: Any) -> list[float]:
    return [value.x, value.y, value.z, value.w]


TYPES: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "wrench": (WrenchStamped, lambda m: _xyz(m.wrench.force) + _xyz(m.wrench.torque)),
    "pose": (PoseStamped, lambda m: _xyz(m.pose.position) + _xyzw(m.pose.orientation)),
    "imu": (Imu, lambda m: _xyzw(m.orientation) + _xyz(m.angular_velocity) + _xyz(m.linear_acceleration)),
    "twist": (TwistStamped, lambda m: _xyz(m.twist.linear) + _xyz(m.twist.angular)),
    "point": (PointStamped, lambda m: _xyz(m.point)),
    "vector3": (Vector3Stamped, lambda m: _xyz(m.vector)),
    "float64_multi_array": (Float64MultiArray, lambda m: m.data),
    "float32_multi_array": (Float32MultiArray, lambda m: m.data),
}


class VectorReader:
    """Reads one vector's messages; joint positions, which are matched by name, are read as an arm's."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector
        self.type, self._values = TYPES[vector.type]

    def read(self, message: Any) -> tuple[int, np.ndarray]:
        """Return a message's stamp (ns; 0 where it has none) and its numbers, (n,) float64.

        Raises:
            VgilError: for another count of numbers, or a number that is not finite.
        """
        values = np.array(self._values(message), np.float64)
        if values.shape != (self.vector.width,):
            raise VgilError(f"{values.size} numbers in the message; the contract says {self.vector.width}")
        if not np.isfinite(values).all():
            raise VgilError(f"number {int(np.argmin(np.isfinite(values)))} is not finite; allowed: finite numbers")
        header = getattr(message, "header", None)
        return (0 if header is None else header.stamp.sec * 1_000_000_000 + header.stamp.nanosec), values
