"""Joint states as messages."""

from __future__ import annotations

from rclpy.time import Time
from sensor_msgs.msg import JointState


def joint_state(names: list[str], values: list[float], stamp_ns: int) -> JointState:
    """Joints at a time.

    Args:
        names: (J,).
        values: their J positions; or J positions, J velocities and J efforts.
        stamp_ns: when.
    """
    count = len(names)
    message = JointState(
        name=names, position=values[:count], velocity=values[count : 2 * count], effort=values[2 * count :]
    )
    message.header.stamp = Time(nanoseconds=stamp_ns).to_msg()
    return message
