"""Scripted operators: they move the masters of a simulated robot as a person would. One for each task."""

from __future__ import annotations

from vgil_ros.robots.operators.gym_aloha import GymInsertionOperator, GymTransferCubeOperator
from vgil_ros.robots.operators.pick_place import PickPlaceOperator
from vgil_ros.robots.operators.script import OperatedRobot, Operator
from vgil_ros.robots.operators.transfer_cube import TransferCubeOperator
from vgil_ros.robots.plugins import load_plugin, making
from vgil_ros.robots.sim.tasks import TaskError

GROUP = "vgil_ros.operators"  # of entry points
OPERATORS: dict[str, type[Operator]] = {
    "pick_place": PickPlaceOperator,
    "pick_place_any": PickPlaceOperator,  # it takes any cube by the faces that turn the wrist least
    "transfer_cube": TransferCubeOperator,
    "gym_aloha/AlohaTransferCube-v0": GymTransferCubeOperator,
    "gym_aloha/AlohaInsertion-v0": GymInsertionOperator,
}


def make_operator(robot: OperatedRobot, seed: int = 0) -> Operator:
    """Return the operator for the robot's task: this package's, an entry point's of the task's name, or its own.

    Raises:
        TaskError: where the task has none.
        PluginError: for a class from outside that cannot be loaded or made, or is no operator.
    """
    name = robot.task_name
    found = OPERATORS.get(name) or load_plugin(GROUP, robot.task_operator or name, Operator)  # type: ignore[type-abstract]
    if found is None:
        own = "" if "/" in name else "the task's `operator`, "
        raise TaskError(
            f"task '{name}' has no scripted operator; allowed: an entry point of {GROUP} with the task's name, {own}or"
            " none (scripted_operator:=false of the launch files, operator:=false of the node)"
        )
    with making(found):
        return found(robot, seed)


__all__ = ["OPERATORS", "Operator", "make_operator"]
