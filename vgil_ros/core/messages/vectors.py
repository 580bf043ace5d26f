"""Messages of further vectors: each type's numbers, in the order in which they are recorded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgil_ros.core.contract import Vector
from vgil_ros.core.errors import VgilError
from vgil_ros.core.messages import cdr


@dataclass(frozen=True)
class VectorType:
    """How a message holds its numbers.

    Attributes:
        type: the message's.
        columns: those that are recorded, among the float64 behind the header; none of an array, which has no header.
        size: bytes of an array's number.
    """

    type: str
    columns: tuple[int, ...] = ()
    size: int = 8


TYPES = {
    "wrench": VectorType("geometry_msgs/msg/WrenchStamped", tuple(range(6))),
    "pose": VectorType("geometry_msgs/msg/PoseStamped", tuple(range(7))),
    # orientation, angular velocity, linear acceleration; behind each its covariance, 9 numbers
    "imu": VectorType("sensor_msgs/msg/Imu", (*range(4), *range(13, 16), *range(25, 28))),
    "twist": VectorType("geometry_msgs/msg/TwistStamped", tuple(range(6))),
    "point": VectorType("geometry_msgs/msg/PointStamped", tuple(range(3))),
    "vector3": VectorType("geometry_msgs/msg/Vector3Stamped", tuple(range(3))),
    "float64_multi_array": VectorType("std_msgs/msg/Float64MultiArray"),
    "float32_multi_array": VectorType("std_msgs/msg/Float32MultiArray", size=4),
}
MESSAGE_WIDTH = {"wrench": 6, "pose": 7, "imu": 37, "twist": 6, "point": 3, "vector3": 3}  # float64 behind the header


class VectorReader:
    """Reads one vector's messages; joint positions, which are matched by name, are read as an arm's."""

    def __init__(self, vector: Vector) -> None:
        self.vector = vector
        self._type = TYPES[vector.type]
        self.type = self._type.type

    def read(self, data: bytes) -> tuple[int, np.ndarray]:
        """Return a message's stamp (ns; 0 where it has none) and its numbers, (n,) float64.

        Raises:
            VgilError: for another message, another count of numbers, or a number that is not finite.
        """
        stamp_ns, values = self._numbers(data)
        if values.shape != (self.vector.width,):
            raise VgilError(f"{values.size} numbers in the message; the contract says {self.vector.width}")
        if not np.isfinite(values).all():
            raise VgilError(f"number {int(np.argmin(np.isfinite(values)))} is not finite; allowed: finite numbers")
        return stamp_ns, values

    def _numbers(self, data: bytes) -> tuple[int, np.ndarray]:
        columns = self._type.columns
        if not columns:
            return 0, cdr.read_multi_array(data, self._type.size).astype(np.float64)
        stamp_ns, values = cdr.read_stamped(data, columns[-1] + 1)
        return stamp_ns, values[list(columns)].astype(np.float64)
