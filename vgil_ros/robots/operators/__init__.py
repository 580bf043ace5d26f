"""Scripted operators: they move the masters of a simulated robot as a person would. One for each task."""

from __future__ import annotations

from vgil_ros.robots.operators.gym_aloha import GymInsertionOperator, GymTransferCubeOperator
from vgil_ros.robots.operators.pick_place import PickPlaceOperator
from vgil_ros.robots.operators.script import OperatedRobot, Operator
from vgil_ros.robots.operators.transfer_cube import TransferCubeOperator
from vgil_ros.robots.sim.tasks import TaskError

OPERATORS: dict[str, type[Operator]] = {
    "pick_place": PickPlaceOperator,
    "pick_place_any": PickPlaceOperator,  # it takes any cube by the faces that turn the wrist least
    "transfer_cube": TransferCubeOperator,
    "gym_aloha/AlohaTransferCube-v0": GymTransferCubeOperator,
    "gym_aloha/AlohaInsertion-v0": GymInsertionOperator,
}


def make_operator(robot: OperatedRobot, seed: int = 0) -> Operator:
    """Return the operator for the robot's task.

    Raises:
        TaskError: where the task has none.
    """
    name = robot.task_name
    if name not in OPERATORS:
        raise TaskError(f"task '{name}' has no scripted operator; allowed: {sorted(OPERATORS)}")
    return OPERATORS[name](robot, seed)


__all__ = ["OPERATORS", "Operator", "make_operator"]
