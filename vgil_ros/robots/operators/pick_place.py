"""Script of the operator for `pick_place` and `pick_place_any`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.robots.operators.script import HOLD, OPEN, Goal, Move, Operator, from_above, yaw_of
from vgil_ros.robots.sim.tasks.base import CUBE, CUBE_HALF
from vgil_ros.robots.sim.tasks.pick_place import TARGET


class PickPlaceOperator(Operator):
    """Over the cube, down, close, up, over the field, down, open, up, home."""

    def script(self) -> Iterator[Move]:
        arm = self.robot.taking_part[0]
        name = arm.arm.name
        yield Move(0.3, {name: Goal(grip=OPEN)}, patient=True)
        cube, above = self.robot.objects()[CUBE], np.array([0.0, 0.0, self._rng.uniform(0.08, 0.11)])
        at, yaw = cube[:3, 3], yaw_of(cube)
        yield Move(1.2, {name: Goal(from_above(arm, at + above, yaw), near=True)}, patient=True)
        yield Move(0.8, {name: Goal(from_above(arm, at, yaw))})
        yield Move(0.4, {name: Goal(grip=HOLD)})
        yield Move(0.6, {name: Goal(from_above(arm, at + above, yaw))})
        field = self.robot.objects()[TARGET][:3, 3] + [0.0, 0.0, CUBE_HALF + 0.003]
        yield Move(1.1, {name: Goal(from_above(arm, field + above), near=True)})
        yield Move(0.7, {name: Goal(from_above(arm, field))})
        yield Move(0.35, {name: Goal(grip=OPEN)})
        yield Move(0.6, {name: Goal(from_above(arm, field + above))})
        yield Move(1.2, {name: Goal(home=True)})
