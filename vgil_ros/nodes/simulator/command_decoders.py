"""Commands for the simulated puppets: a contract's message types, turned into positions by joint name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Float32, Float64, Float64MultiArray
from trajectory_msgs.msg import JointTrajectory

from vgil_ros.core.contract import Arm, CommandTopic, GripperCommand
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import POSITION, JointReader
from vgil_ros.nodes.messages.gripper_units import gripper_action, puppet_units

TYPES = {
    "joint_state": JointState,
    "joint_trajectory": JointTrajectory,
    "float64_multi_array": Float64MultiArray,
    "float32": Float32,
    "float64": Float64,
}


class CommandMessageError(VgilError):
    """A command message that does not fit the arm."""


@dataclass(frozen=True)
class CommandInput:
    """A topic, or an action, that commands an arm.

    Attributes:
        topic: its name.
        type: its message type.
        decode: (message, what the arm holds now (J,)) -> what it is to hold (J,), in the contract's order and units.
            Of an action, the message is its goal. Raises a VgilError for wrong names, wrong lengths and values that are
            not finite.
        is_action: whether `topic` is an action's name and `type` an action.
        column: of the joint that an action moves.
    """

    topic: str
    type: Any
    decode: Callable[[Any, np.ndarray], np.ndarray]
    is_action: bool = False
    column: int = 0


def inputs_of(arm: Arm) -> list[CommandInput]:
    """Return the topics and actions that command an arm.

    Raises:
        VgilError: where the message type is not installed.
    """
    if arm.command.type == "interbotix_group":
        return _interbotix(arm)
    inputs = [_input(arm, arm.command, arm.own_joints, arm.own_columns, lambda value: value)]
    if arm.gripper and (apart := arm.gripper.command):
        column = arm.joints.index(arm.gripper.joint)
        name = apart.joint or arm.command_joints[column]
        inputs.append(_input(arm, apart, (name,), (column,), puppet_units(arm.gripper)))
    return inputs


def _input(
    arm: Arm,
    command: CommandTopic | GripperCommand,
    names: tuple[str, ...],
    columns: Sequence[int],
    units: Callable[[float], float],
) -> CommandInput:
    """A topic or action that commands some columns of an arm, by these names, in units that `units` brings to the
    contract's."""
    reads: dict[str, Callable[[Any], tuple[Sequence[str], Sequence[float]]]] = {
        "joint_state": lambda message: (message.name, message.position),
        "joint_trajectory": lambda message: (message.joint_names, _point(arm, message)),
        "float64_multi_array": lambda message: (names, message.data),
        "float32": lambda message: (names, [message.data]),
        "float64": lambda message: (names, [message.data]),
        "gripper_command": lambda goal: (names, [goal.command.position]),
        "parallel_gripper_command": lambda goal: (goal.command.name, goal.command.position),
    }
    read = reads[command.type]

    def decode(message: Any, held: np.ndarray) -> np.ndarray:
        position = held.copy()
        position[list(columns)] = [units(float(value)) for value in _read(arm, *read(message), names)]
        return position

    kind = gripper_action(command.type, None, "")[0] if command.is_action else TYPES[command.type]
    return CommandInput(command.topic, kind, decode, command.is_action, columns[0])


def _read(arm: Arm, names: Sequence[str], values: Sequence[float], joints: tuple[str, ...]) -> np.ndarray:
    row: np.ndarray = JointReader(f"{arm.name}/command", joints).read(names, values)[POSITION]
    return row


def _point(arm: Arm, message: JointTrajectory) -> Sequence[float]:
    if len(message.points) != 1:
        raise CommandMessageError(
            f"{arm.name}/command: trajectory has {len(message.points)} points; allowed: 1, taken at once"
        )
    positions: Sequence[float] = message.points[0].positions
    return positions


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
