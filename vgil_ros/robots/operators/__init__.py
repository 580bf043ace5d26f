"""Scripted operators: they move the masters of a simulated robot as a person would. One for each task."""

from __future__ import annotations

from vgil_ros.robots.operators.pick_place import PickPlaceOperator
from vgil_ros.robots.operators.script import Operator
from vgil_ros.robots.operators.transfer_cube import TransferCubeOperator
from vgil_ros.robots.plugins import load_plugin
from vgil_ros.robots.sim.robot import SimRobot
from vgil_ros.robots.sim.tasks import TaskError

GROUP = "vgil_ros.operators"  # of entry points
OPERATORS: dict[str, type[Operator]] = {"pick_place": PickPlaceOperator, "transfer_cube": TransferCubeOperator}


def make_operator(robot: SimRobot, seed: int = 0) -> Operator:
    """Return the operator for the robot's task: this package's, an entry point's of the task's name, or its own.

    Raises:
        TaskError: where the task has none.
        PluginError: for a class from outside that cannot be loaded, or is no operator.
    """
    task = robot.task
    found = OPERATORS.get(task.name)
    wanted = task.operator or task.name
    found = found or load_plugin(GROUP, wanted, Operator)  # type: ignore[type-abstract]
    if found is None:
        raise TaskError(
            f"task '{task.name}' has no scripted operator; allowed: operator:=false, an entry point of {GROUP}, or the"
            " task's `operator`"
        )
    return found(robot, seed)


__all__ = ["OPERATORS", "Operator", "make_operator"]
