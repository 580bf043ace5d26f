"""`pick_place`: one arm takes the cube and puts it on the marked field. Both lie somewhere else each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import mujoco
import numpy as np

from vgil_ros.robots.sim.arm import SimArm
from vgil_ros.robots.sim.tasks.base import CUBE_HALF, Task, TaskError, add_cube

TARGET = "target"
TARGET_HALF = 0.045  # m; half the field's side
NEAR, FAR, ASIDE = 0.30, 0.46, 0.15  # m, in the arm's frame: where cube and field may lie
APART = 0.13  # m; least distance between them
TURN = np.pi / 6  # rad; at 45 degrees the fingers could take it either way: `pick_place_any`'s difficulty


class PickPlace(Task):
    """Reward 1: the fingers touch the cube; 2: it is off the table; 3: above the field; 4: lies on it, let go.

    Attributes:
        turn: rad; most that the cube is turned from the arm's direction.
    """

    name = "pick_place"
    usual_ticks = 400
    turn: ClassVar[float] = TURN

    def choose(self, arms: Sequence[SimArm]) -> tuple[SimArm, ...]:
        """The first arm that has a gripper."""
        usable = [arm for arm in arms if arm.model.finger]
        if not usable:
            raise TaskError(f"task '{self.name}' needs an arm with a gripper; found {list(self._by_name)}, none with")
        return (usable[0],)

    def add(self, spec: Any) -> None:
        add_cube(spec, (0.82, 0.16, 0.14, 1.0))
        body = spec.worldbody.add_body(name=TARGET, mocap=True)
        for half, rgba, height in (
            (TARGET_HALF, (0.13, 0.45, 0.28, 1), 0.0005),
            (TARGET_HALF - 0.007, (0.55, 0.80, 0.60, 1), 0.0008),
        ):
            body.add_geom(
                type=mujoco.mjtGeom.mjGEOM_BOX, size=[half, half, height], rgba=rgba, contype=0, conaffinity=0
            )

    def place(self, data: Any, rng: np.random.Generator) -> None:
        mount = self.arms[0].model.kinematics.mount
        cube, target = _two_places(rng)
        at = (mount @ [*cube, 0.0, 1.0])[:2]
        away = at - mount[:2, 3]
        self.put_cube(data, at, float(np.arctan2(away[1], away[0])) + rng.uniform(-self.turn, self.turn))
        data.mocap_pos[self._mocap] = [*(mount @ [*target, 0.0, 1.0])[:2], 0.0]

    def bind(self, model: Any) -> None:
        super().bind(model)
        self._mocap = int(model.body(TARGET).mocapid[0])

    def objects(self, data: Any) -> dict[str, np.ndarray]:
        target = np.eye(4)
        target[:3, 3] = data.mocap_pos[self._mocap]
        return {**super().objects(data), TARGET: target}

    def reward(self, data: Any) -> float:
        touching, on_table = self.cube_touches(data)
        cube = self.cube_pose(data)[:3, 3]
        offset = np.abs(cube - data.mocap_pos[self._mocap])
        above = bool((offset[:2] < TARGET_HALF).all())
        if above and not touching and on_table and cube[2] < 1.2 * CUBE_HALF:
            return 4.0
        if touching and not on_table:
            return 3.0 if above else 2.0
        return 1.0 if touching else 0.0


def _two_places(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw two places (2,) in the arm's frame that are not too close to one another."""
    while True:
        places = np.column_stack([rng.uniform(NEAR, FAR, 2), rng.uniform(-ASIDE, ASIDE, 2)])
        if np.linalg.norm(places[0] - places[1]) > APART:
            return places[0], places[1]
