"""Commands for the simulated puppets: a contract's message types, turned into positions by joint name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vgil_ros.core.contract import Arm
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, JointReader

Decoder = Callable[[Any], np.ndarray]


class CommandMessageError(VgilError):
    """A command message that does not fit the arm."""


def decoder_of(arm: Arm) -> tuple[type, Decoder]:
    """Return the message type of an arm's command topic, and what turns a message into positions (J,).

    The decoder raises a VgilError for wrong names, wrong lengths and values that are not finite.

    Raises:
        VgilError: where the message type is not installed.
    """
    if arm.command.type == "joint_state":
        return JointState, lambda message: _read(arm, message.name, message.position)
    if arm.command.type == "joint_trajectory":
        return JointTrajectory, lambda message: _from_trajectory(arm, message)
    if arm.command.type == "float64_multi_array":
        return Float64MultiArray, lambda message: _read(arm, arm.joints, message.data)
    return _interbotix_type(), lambda message: _read(arm, arm.joints, message.cmd)


def _read(arm: Arm, names: Any, values: Any) -> np.ndarray:
    row: np.ndarray = JointReader(f"{arm.name}/command", arm.joints).read(names, values)[POSITION]
    return row


def _from_trajectory(arm: Arm, message: JointTrajectory) -> np.ndarray:
    if len(message.points) != 1:
        raise CommandMessageError(
            f"{arm.name}/command: trajectory has {len(message.points)} points; allowed: 1, taken at once"
        )
    return _read(arm, message.joint_names, message.points[0].positions)


def _interbotix_type() -> type:
    try:
        from interbotix_xs_msgs.msg import JointGroupCommand
    except ImportError as error:
        raise VgilError(
            "command type 'interbotix_group' needs the package interbotix_xs_msgs, which is not installed;"
            " allowed without it: joint_state, float64_multi_array, joint_trajectory"
        ) from error
    found: type = JointGroupCommand
    return found
