"""The tasks, by name. A new one is one new file and one line here."""

from __future__ import annotations

from vgil_ros.core.contract import Contract
from vgil_ros.robots.sim.tasks.base import Task, TaskError
from vgil_ros.robots.sim.tasks.pick_place import PickPlace
from vgil_ros.robots.sim.tasks.pick_place_any import PickPlaceAny
from vgil_ros.robots.sim.tasks.transfer_cube import TransferCube

TASKS: dict[str, type[Task]] = {task.name: task for task in (PickPlace, PickPlaceAny, TransferCube)}


def task_class(name: str) -> type[Task]:
    """Return a task by name.

    Raises:
        TaskError: for a name that is none; it lists the names.
    """
    if name not in TASKS:
        raise TaskError(f"task '{name}' is unknown; allowed: {sorted(TASKS)}")
    return TASKS[name]


def default_task(contract: Contract) -> str:
    """Return the task that suits a robot where none is asked for: a handover needs a left and a right arm."""
    return TransferCube.name if {"left", "right"} <= {arm.name for arm in contract.arms} else PickPlace.name


__all__ = ["TASKS", "Task", "TaskError", "default_task", "task_class"]
