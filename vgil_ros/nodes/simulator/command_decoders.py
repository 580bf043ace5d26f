"""Commands for the simulated puppets: a contract's message types, turned into positions by joint name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vgil_ros.core.contract import Arm
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, JointReader


class CommandMessageError(VgilError):
    """A command message that does not fit the arm."""


@dataclass(frozen=True)
class CommandInput:
    """A topic that commands an arm.

    Attributes:
        topic: its name.
        type: its message type.
        decode: (message, what the arm holds now (J,)) -> what it is to hold (J,), in the contract's order and units.
            Raises a VgilError for wrong names, wrong lengths and values that are not finite.
    """

    topic: str
    type: type
    decode: Callable[[Any, np.ndarray], np.ndarray]


def inputs_of(arm: Arm) -> list[CommandInput]:
    """Return the topics that command an arm.

    Raises:
        VgilError: where the message type is not installed.
    """
    topic, kind = arm.command.topic, arm.command.type
    if kind == "joint_state":
        return [CommandInput(topic, JointState, lambda message, held: _read(arm, message.name, message.position))]
    if kind == "joint_trajectory":
        return [CommandInput(topic, JointTrajectory, lambda message, held: _from_trajectory(arm, message))]
    if kind == "float64_multi_array":
        return [
            CommandInput(topic, Float64MultiArray, lambda message, held: _read(arm, arm.command_joints, message.data))
        ]
    return _interbotix(arm)


def _read(arm: Arm, names: Sequence[str], values: Sequence[float], joints: tuple[str, ...] | None = None) -> np.ndarray:
    row: np.ndarray = JointReader(f"{arm.name}/command", joints or arm.command_joints).read(names, values)[POSITION]
    return row


def _from_trajectory(arm: Arm, message: JointTrajectory) -> np.ndarray:
    if len(message.points) != 1:
        raise CommandMessageError(
            f"{arm.name}/command: trajectory has {len(message.points)} points; allowed: 1, taken at once"
        )
    return _read(arm, message.joint_names, message.points[0].positions)


def _interbotix(arm: Arm) -> list[CommandInput]:
    """Interbotix' two topics: the group takes the arm, its sibling `joint_single` one joint, here the gripper."""
    try:
        from interbotix_xs_msgs.msg import JointGroupCommand, JointSingleCommand
    except ImportError as error:
        raise VgilError(
            f"arm '{arm.name}': command type 'interbotix_group' needs the package interbotix_xs_msgs, which is not"
            " installed; allowed without it: joint_state, float64_multi_array, joint_trajectory"
        ) from error
    own = arm.gripper.joint if arm.gripper else None
    columns = [i for i, joint in enumerate(arm.joints) if joint != own]
    group = tuple(arm.command_joints[i] for i in columns)

    def take_group(message: Any, held: np.ndarray) -> np.ndarray:
        position = held.copy()
        position[columns] = _read(arm, group, message.cmd, group)
        return position

    def take_single(message: Any, held: np.ndarray) -> np.ndarray:
        if message.name not in arm.command_joints:
            raise CommandMessageError(
                f"{arm.name}/command: joint '{message.name}'; allowed: {list(arm.command_joints)}"
            )
        position = held.copy()
        position[arm.command_joints.index(message.name)] = _read(arm, [message.name], [message.cmd], (message.name,))[0]
        return position

    sibling = arm.command.topic.rsplit("/", 1)[0] + "/joint_single"
    return [
        CommandInput(arm.command.topic, JointGroupCommand, take_group),
        CommandInput(sibling, JointSingleCommand, take_single),
    ]
