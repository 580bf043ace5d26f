"""Worlds without ROS, by task: our own simulator's and those of Gymnasium. Rollouts and demonstrations run in both."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Miss, Sample, Synchronizer
from vgil_ros.robots.sim.tasks import default_task, task_class

GYM_TICKS = 400  # of an episode, in ALOHA's simulated tasks
GYM_ROBOT, GYM_TASK = "gym_aloha", "gym_aloha/AlohaTransferCube-v0"
USUAL_ROBOTS = {"pick_place": "sim_single", "pick_place_any": "sim_single", "transfer_cube": "sim_aloha"}


class WorldRobot(Protocol):
    """What is asked of the robot in a world."""

    def reward(self) -> float:
        """How far the task has come."""

    def success(self) -> bool:
        """Whether the task is done."""


class World(Protocol):
    """A robot and its sensors in time of their own. See `robots.sim.simulation.SimWorld`."""

    contract: Contract
    layout: Layout
    streams: tuple[StreamSpec, ...]
    rng: np.random.Generator
    sync: Synchronizer

    @property
    def robot(self) -> WorldRobot: ...
    @property
    def begin_steps(self) -> tuple[int, int]:
        """How many steps after a reset a recorder or a policy begins, the least and the most."""

    @property
    def max_reward(self) -> float:
        """The reward of a success."""

    @property
    def count(self) -> int:
        """Steps since the reset."""

    @property
    def now_ns(self) -> int: ...
    @property
    def seconds(self) -> float: ...
    @property
    def over(self) -> bool:
        """Whether it cannot go on before the next reset."""

    def reset(self, seed: int) -> None: ...
    def command(self, action: np.ndarray, base: np.ndarray | None = None) -> None: ...
    def advance(self) -> None: ...
    def ticks(self) -> list[Sample | Miss]: ...
    def draw(self, camera: str, height: int, width: int) -> np.ndarray: ...
    def close(self) -> None: ...


def is_gym_task(task: str) -> bool:
    """Whether a task is a Gymnasium environment (`gym_aloha/AlohaTransferCube-v0`) rather than one of our own."""
    return "/" in task


def usual_ticks(task: str) -> int:
    """Length of an episode where none is asked for.

    Raises:
        TaskError: for a name that is no task.
    """
    return GYM_TICKS if is_gym_task(task) else task_class(task).usual_ticks


def usual_robot(task: str) -> str:
    """The contract that suits a task where none is asked for."""
    return GYM_ROBOT if is_gym_task(task) else USUAL_ROBOTS.get(task, "sim_aloha")


def usual_task(contract: Contract) -> str:
    """The task that suits a robot where none is asked for."""
    return GYM_TASK if contract.name == GYM_ROBOT else default_task(contract)


def highest_reward(task: str) -> float:
    """The reward of a success.

    Raises:
        TaskError: for a name that is no task.
    """
    if is_gym_task(task):
        from vgil_ros.robots.gym.environment import DONE

        return DONE
    return task_class(task).max_reward


def make_robot(contract: Contract, task: str, seed: int) -> Any:
    """Return a task's robot by itself, for whoever has a clock: commanded arm by arm, it goes on by seconds.

    Raises:
        VgilError: where robot and task cannot be used.
    """
    if is_gym_task(task):
        from vgil_ros.robots.gym.stepped import SteppedGymRobot

        return SteppedGymRobot(contract, task, seed)
    from vgil_ros.robots.sim.robot import SimRobot

    return SimRobot(contract, task, seed)


def make_world(
    contract: Contract,
    task: str,
    *,
    operator: bool,
    streams: tuple[StreamSpec, ...] | None = None,
    every_image: bool = False,
) -> Any:
    """Return the world of a task, with a scripted operator or without.

    Args:
        contract: the robot.
        task: one of `robots.sim.tasks`, or a Gymnasium environment's id.
        operator: whether a scripted operator moves the masters.
        streams: what is synchronised; everything by default.
        every_image: images are also asked for after the world has gone on.

    Raises:
        VgilError: where robot and task cannot be used.
    """
    if is_gym_task(task):
        from vgil_ros.robots.gym.world import GymWorld  # Gymnasium: only these tasks need it

        return GymWorld(contract, task, operator=operator, streams=streams, every_image=every_image)
    from vgil_ros.robots.sim.simulation import SimWorld

    return SimWorld(contract, task, operator=operator, streams=streams)
