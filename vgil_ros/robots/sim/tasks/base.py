"""Base class of tasks: things on the table, where they start, and what counts as done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import mujoco
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.sim.arm import SimArm
from vgil_ros.robots.sim.scenery import EVERYTHING, WORLD_BIT
from vgil_ros.robots.transforms import Vector, pose, quat_xyzw, rotation_about

CUBE = "cube"
CUBE_HALF = 0.02  # m


class TaskError(VgilError):
    """A task that does not exist, or that a robot cannot do."""


class Task(ABC):
    """A task in the simulated world. One task, one file.

    Attributes:
        name: by which it is asked for.
        max_reward: the reward of a success.
        usual_ticks: length of an episode where none is asked for.
        operator: its scripted operator as `module:Class`; "" where an entry point has one of the task's name, or none.
        arms: the arms that take part, in the order of their part in it.
    """

    name: ClassVar[str]
    max_reward: ClassVar[float] = 4.0
    usual_ticks: ClassVar[int] = 500
    operator: ClassVar[str] = ""

    def __init__(self, arms: Sequence[SimArm]) -> None:
        self._by_name = {arm.arm.name: arm for arm in arms}
        self.arms: tuple[SimArm, ...] = self.choose(arms)

    @abstractmethod
    def choose(self, arms: Sequence[SimArm]) -> tuple[SimArm, ...]:
        """Return the arms that take part.

        Raises:
            TaskError: where the robot lacks one.
        """

    @abstractmethod
    def add(self, spec: Any) -> None:
        """Add the task's things to the MjSpec."""

    @abstractmethod
    def place(self, data: Any, rng: np.random.Generator) -> None:
        """Put the things where the episode begins."""

    @abstractmethod
    def reward(self, data: Any) -> float:
        """Return how far the task has come, 0 to `max_reward`."""

    def bind(self, model: Any) -> None:
        """Find the task's things in the compiled model: the table, and the cube where there is one."""
        self._model = model
        self._table = frozenset(int(g) for g in range(model.ngeom) if model.geom_bodyid[g] == model.body("table").id)
        self._has_cube = CUBE in {model.body(i).name for i in range(model.nbody)}
        if not self._has_cube:
            return
        self._cube_body = model.body(CUBE).id
        self._cube_geom = model.geom(CUBE).id
        joint = model.joint(CUBE)
        self._cube_qpos, self._cube_dof = int(joint.qposadr[0]), int(joint.dofadr[0])

    def success(self, data: Any) -> bool:
        """Whether the task is done."""
        return self.reward(data) >= self.max_reward

    def objects(self, data: Any) -> dict[str, np.ndarray]:
        """Return the true pose (4, 4) of each thing; here the cube's, where there is one."""
        return {CUBE: self.cube_pose(data)} if self._has_cube else {}

    def cube_pose(self, data: Any) -> np.ndarray:
        """Return the cube's pose (4, 4)."""
        return pose(data.xpos[self._cube_body], data.xmat[self._cube_body].reshape(3, 3))

    def cube_touches(self, data: Any) -> tuple[frozenset[str], bool]:
        """Return the names of the arms whose fingers touch the cube, and whether the table does."""
        pairs = data.contact.geom[: data.ncon]
        others = pairs[pairs[:, 0] == self._cube_geom, 1].tolist() + pairs[pairs[:, 1] == self._cube_geom, 0].tolist()
        touching = frozenset(name for name, arm in self._by_name.items() if arm.finger_geoms.intersection(others))
        return touching, bool(self._table.intersection(others))

    def put_cube(self, data: Any, xy: Vector, yaw: float) -> None:
        """Lay the cube flat on the table at `xy` (m), turned by `yaw` (rad), at rest."""
        turned = np.roll(quat_xyzw(rotation_about(np.array([0.0, 0.0, 1.0]), yaw)), 1)
        data.qpos[self._cube_qpos : self._cube_qpos + 7] = [*xy, CUBE_HALF, *turned]
        data.qvel[self._cube_dof : self._cube_dof + 6] = 0.0


def add_cube(spec: Any, rgba: Sequence[float]) -> None:
    """Add the cube: 4 cm, 50 g, free to move."""
    body = spec.worldbody.add_body(name=CUBE, pos=[0, 0, CUBE_HALF])
    body.add_joint(name=CUBE, type=mujoco.mjtJoint.mjJNT_FREE)
    body.add_geom(
        name=CUBE,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[CUBE_HALF] * 3,
        mass=0.05,
        rgba=list(rgba),
        condim=4,
        friction=[1.0, 0.02, 0.001],
        solref=[0.008, 1],
        contype=WORLD_BIT,
        conaffinity=EVERYTHING,
    )
