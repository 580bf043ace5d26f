"""A gripper that is commanded apart from its arm: its units, and the actions of control_msgs that take them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sensor_msgs.msg import JointState

from vgil_ros.core.contract import Gripper
from vgil_ros.core.errors import VgilError


def driver_units(gripper: Gripper) -> Callable[[float], float]:
    """From a position of the puppet's range to the driver's; the same where its command has no range of its own."""
    return _between(gripper.puppet_range, _range_of(gripper))


def puppet_units(gripper: Gripper) -> Callable[[float], float]:
    """The way back."""
    return _between(_range_of(gripper), gripper.puppet_range)


def _range_of(gripper: Gripper) -> tuple[float, float]:
    return (gripper.command.range if gripper.command else None) or gripper.puppet_range


def _between(source: tuple[float, float], target: tuple[float, float]) -> Callable[[float], float]:
    scale = (target[1] - target[0]) / (source[1] - source[0])
    return lambda value: target[0] + (value - source[0]) * scale


def gripper_action(kind: str, max_effort: float | None, joint: str) -> tuple[Any, Callable[[float], Any]]:
    """The type of an action by its name in a contract, and what makes a goal of a position.

    Args:
        kind: "gripper_command" or "parallel_gripper_command".
        max_effort: N or Nm; None: the driver's own.
        joint: the gripper's, for the action that names it.

    Raises:
        VgilError: where control_msgs, or this action of it, is not installed.
    """
    try:
        if kind == "gripper_command":
            from control_msgs.action import GripperCommand

            def simple(position: float) -> Any:
                goal = GripperCommand.Goal()
                goal.command.position, goal.command.max_effort = position, max_effort or 0.0
                return goal

            return GripperCommand, simple
        from control_msgs.action import ParallelGripperCommand
    except ImportError as error:
        raise VgilError(
            f"command type '{kind}' needs its action of the package control_msgs, which is not installed; allowed"
            " without it: joint_state, float32, float64"
        ) from error

    def parallel(position: float) -> Any:
        effort = [] if max_effort is None else [max_effort]
        return ParallelGripperCommand.Goal(command=JointState(name=[joint], position=[position], effort=effort))

    return ParallelGripperCommand, parallel
