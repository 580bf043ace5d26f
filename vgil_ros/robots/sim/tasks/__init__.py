"""The tasks, by name. A new one of the package is one new file and one line here; others come by `robots.plugins`."""

from __future__ import annotations

from vgil_ros.core.contract import Contract
from vgil_ros.robots.plugins import load_plugin, plugin_names
from vgil_ros.robots.sim.tasks.base import Task, TaskError
from vgil_ros.robots.sim.tasks.pick_place import PickPlace
from vgil_ros.robots.sim.tasks.pick_place_any import PickPlaceAny
from vgil_ros.robots.sim.tasks.transfer_cube import TransferCube

GROUP = "vgil_ros.tasks"  # of entry points
TASKS: dict[str, type[Task]] = {task.name: task for task in (PickPlace, PickPlaceAny, TransferCube)}


def task_class(name: str) -> type[Task]:
    """Return a task by its name here, by an entry point of `vgil_ros.tasks`, or as `module:Class`.

    Raises:
        TaskError: for a name that is none; it lists the names.
        PluginError: for a class from outside that cannot be loaded, or is no task.
    """
    if name in TASKS:
        return TASKS[name]
    found = load_plugin(GROUP, name, Task)  # type: ignore[type-abstract]
    if found is None:
        raise TaskError(f"task '{name}' is unknown; allowed: {sorted({*TASKS, *plugin_names(GROUP)})}, or module:Class")
    return found


def default_task(contract: Contract) -> str:
    """Return the task that suits a robot where none is asked for: a handover needs a left and a right arm."""
    return TransferCube.name if {"left", "right"} <= {arm.name for arm in contract.arms} else PickPlace.name


__all__ = ["TASKS", "Task", "TaskError", "default_task", "task_class"]
