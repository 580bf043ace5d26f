"""`transfer_cube`: the right arm takes the cube and hands it over to the left, in the air.

After ALOHA's `sim_transfer_cube` (Zhao et al. 2023), with the same four steps of reward. The last one is stricter
here: the right gripper must have let go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vgil_ros.robots.sim.arm import SimArm
from vgil_ros.robots.sim.tasks.base import Task, TaskError, add_cube

GIVER, TAKER = "right", "left"
NEAR, FAR, ASIDE = 0.30, 0.45, 0.10  # m, in the giver's frame: where the cube may lie


class TransferCube(Task):
    """Reward 1: the right fingers touch the cube; 2: lifted; 3: the left ones touch it; 4: they alone hold it."""

    name = "transfer_cube"

    def choose(self, arms: Sequence[SimArm]) -> tuple[SimArm, ...]:
        """The arms `right` and `left`, both with grippers."""
        able = [arm.arm.name for arm in arms if arm.model.finger]
        if GIVER not in able or TAKER not in able:
            raise TaskError(f"task '{self.name}' needs arms '{GIVER}' and '{TAKER}' with grippers; found {able}")
        return self._by_name[GIVER], self._by_name[TAKER]

    def add(self, spec: Any) -> None:
        add_cube(spec, (0.82, 0.16, 0.14, 1.0))

    def place(self, data: Any, rng: np.random.Generator) -> None:
        mount = self.arms[0].model.kinematics.mount
        local = [rng.uniform(NEAR, FAR), rng.uniform(-ASIDE, ASIDE), 0.0, 1.0]
        self.put_cube(data, (mount @ local)[:2], rng.uniform(-np.pi / 6, np.pi / 6))

    def reward(self, data: Any) -> float:
        touching, on_table = self.cube_touches(data)
        if TAKER in touching:
            return 4.0 if not on_table and GIVER not in touching else 3.0
        if GIVER in touching:
            return 1.0 if on_table else 2.0
        return 0.0
