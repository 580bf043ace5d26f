"""Script of the operator for `transfer_cube`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.robots.arm_model import workspace_centre
from vgil_ros.robots.operators.script import HOLD, OPEN, Goal, Move, Operator, from_above, yaw_of
from vgil_ros.robots.sim.tasks.base import CUBE
from vgil_ros.robots.transforms import pose, rotation_rpy

BACK = 0.11  # m; how far a gripper stays from the meeting place before and after


class TransferCubeOperator(Operator):
    """The right gripper brings the cube to the middle; the left takes it by the two free faces, the right lets go.

    The cube is taken from straight above. Held level it therefore shows flat faces above and below to the left hand,
    whose gripper is turned by a quarter.
    """

    def script(self) -> Iterator[Move]:
        giver, taker = self.robot.taking_part
        right, left = giver.arm.name, taker.arm.name
        yield Move(0.3, {right: Goal(grip=OPEN), left: Goal(grip=OPEN)}, patient=True)
        cube, above = self.robot.objects()[CUBE], np.array([0.0, 0.0, self._rng.uniform(0.08, 0.11)])
        at, yaw = cube[:3, 3], yaw_of(cube)
        yield Move(1.2, {right: Goal(from_above(giver, at + above, yaw))}, patient=True)
        yield Move(0.8, {right: Goal(from_above(giver, at, yaw))})
        yield Move(0.4, {right: Goal(grip=HOLD)})
        yield Move(0.6, {right: Goal(from_above(giver, at + above, yaw))})

        middle = workspace_centre([giver.model, taker.model])
        middle[2] = self._rng.uniform(0.22, 0.26)
        giving, taking = self._directions()
        wait = -BACK * taking[:3, 0]
        yield Move(1.4, {right: Goal(pose(middle, giving)), left: Goal(pose(middle + wait, taking))})
        held = self.robot.objects()[CUBE][:3, 3]
        yield Move(0.9, {left: Goal(pose(held, taking))})
        yield Move(0.45, {left: Goal(grip=HOLD)})
        yield Move(0.35, {right: Goal(grip=OPEN)})
        away = pose(middle - BACK * giving[:3, 0], giving)
        yield Move(0.8, {right: Goal(away), left: Goal(pose(held + wait, taking))})

    def _directions(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (3, 3) of the two grippers: level, each facing the other arm; the left one turned by a quarter."""
        giver, taker = (arm.model.kinematics.mount[:3, 3] for arm in self.robot.taking_part)
        along = taker - giver
        yaw = float(np.arctan2(along[1], along[0]))
        return rotation_rpy((0, 0, yaw)), rotation_rpy((np.pi / 2, 0, yaw + np.pi))
