"""Scripted operators for gym-aloha's two tasks.

Things lie unturned on the table there. Both hands come obliquely, each from its own side, so that the camera above sees
what they take, and keep that direction to the end: what was level on the table is level in the air.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.robots.arm_model import GRASP_LINK
from vgil_ros.robots.operators.script import Goal, Move, OperatedArm, Operator
from vgil_ros.robots.transforms import pose, rotation_rpy

OPEN, HOLD = 0.95, 0.1  # of a gripper's range; closed past what it holds, so that the servo presses
STEEP = np.pi / 3  # rad; how far down a hand points that takes a thing from the table
TIP = 0.035  # m; from the grasp link to the fingers' tips
ABOVE, OVER = 0.09, 0.055  # m; where a hand comes near, and where it stands right before it goes straight down
FALL = 0.25  # s; the things begin a little above the table
SETTLE = 0.12  # s; until what is held stands still and can be aimed at
LOW = 0.005  # m; the peg goes in below the socket's axis: 12 mm too low still slides in, 4 mm too high does not
BACK = 0.10  # m; how far the taking hand waits from the meeting place
MEETING = np.array([0.0, 0.5, 0.25])  # m; between the arms, high enough for both hands


class GymOperator(Operator):
    """The things are not much narrower than the open fingers: it comes nearer."""

    near, near_turn = 0.008, 0.06


class GymTransferCubeOperator(GymOperator):
    """The right hand brings the cube to the middle; the left takes it by top and bottom, the right lets go."""

    def script(self) -> Iterator[Move]:
        giver, taker = self.robot.taking_part
        right, left = giver.arm.name, taker.arm.name
        steep, level = towards(giver, STEEP), towards(taker, 0.0, np.pi / 2)
        wait = pose(MEETING - BACK * level[:3, 0], level)
        yield Move(FALL, {}, patient=True)
        grasp = fingers_at(self.robot.objects()["box"][:3, 3], steep, 0.013)
        yield Move(1.1, {right: Goal(lifted(grasp, ABOVE), OPEN, near=True), left: Goal(wait, OPEN)})
        yield Move(0.4, {right: Goal(lifted(grasp, OVER))})
        yield Move(0.5, {right: Goal(grasp)})
        yield Move(0.4, {right: Goal(grip=HOLD)})
        yield Move(0.5, {right: Goal(lifted(grasp, ABOVE))})
        yield Move(1.2, {right: Goal(carried(self, giver, "box", pose(MEETING)))})
        taking = fingers_at(self.robot.objects()["box"][:3, 3], level, 0.015)
        yield Move(0.9, {left: Goal(taking)})
        yield Move(0.4, {left: Goal(grip=HOLD)})
        yield Move(0.4, {right: Goal(grip=OPEN)})
        yield Move(0.8, {right: Goal(lifted(grasp, ABOVE)), left: Goal(wait)})


class GymInsertionOperator(GymOperator):
    """Both hands take their thing by its outer half; they meet in the air, and the right pushes the peg in."""

    def script(self) -> Iterator[Move]:
        pusher, holder = self.robot.taking_part
        right, left = pusher.arm.name, holder.arm.name
        yield Move(FALL, {}, patient=True)
        things = self.robot.objects()
        peg = fingers_at(things["peg"][:3, 3] + [0.01, 0, 0], towards(pusher, STEEP), 0.002)
        socket = fingers_at(things["socket"][:3, 3] - [0.01, 0, 0], towards(holder, STEEP), 0.015)
        over = Goal(lifted(peg, ABOVE), OPEN, near=True), Goal(lifted(socket, ABOVE), OPEN, near=True)
        yield Move(1.1, {right: over[0], left: over[1]})
        yield Move(0.4, {right: Goal(lifted(peg, OVER)), left: Goal(lifted(socket, OVER))})
        yield Move(0.5, {right: Goal(peg), left: Goal(socket)})
        yield Move(0.4, {right: Goal(grip=HOLD), left: Goal(grip=HOLD)})
        yield Move(0.5, {right: Goal(lifted(peg, ABOVE)), left: Goal(lifted(socket, ABOVE))})
        apart = 0.06 + 0.06 + 0.04
        aside = np.array([apart / 2, 0.0, 0.0])
        yield Move(
            1.2,
            {
                left: Goal(carried(self, holder, "socket", pose(MEETING - aside))),
                right: Goal(carried(self, pusher, "peg", pose(MEETING + aside)), near=False),
            },
        )
        yield Move(SETTLE, {})
        yield Move(0.6, {right: Goal(carried(self, pusher, "peg", self._before_the_socket(0.135)))})
        yield Move(SETTLE, {})
        yield Move(0.7, {right: Goal(carried(self, pusher, "peg", self._before_the_socket(0.09)))})
        yield Move(0.5, {})

    def _before_the_socket(self, distance: float) -> np.ndarray:
        """Pose (4, 4) of a peg on the socket's axis, its middle so far (m) from the socket's."""
        socket = self.robot.objects()["socket"]
        wanted = socket.copy()
        wanted[:3, 3] += distance * socket[:3, 0] - LOW * socket[:3, 2]
        return wanted


def towards(arm: OperatedArm, down: float, roll: float = 0.0) -> np.ndarray:
    """Rotation (3, 3) of a hand that points from its arm's base to the other one's, `down` rad below the horizontal.

    Args:
        arm: whose hand.
        down: rad.
        roll: rad; about the hand's own direction.
    """
    mount = arm.model.kinematics.mount[:3, :3]
    return np.asarray(mount @ rotation_rpy((0.0, down, 0.0)) @ rotation_rpy((roll, 0.0, 0.0)))


def fingers_at(xyz: np.ndarray, rotation: np.ndarray, beyond: float) -> np.ndarray:
    """Pose (4, 4) of the grasp link with `xyz` (3,) between the fingers, whose tips reach `beyond` (m) further."""
    return pose(xyz - (TIP - beyond) * rotation[:, 0], rotation)


def lifted(grasp: np.ndarray, height: float) -> np.ndarray:
    """The same pose, so much (m) higher."""
    higher = grasp.copy()
    higher[2, 3] += height
    return higher


def carried(operator: Operator, arm: OperatedArm, thing: str, wanted: np.ndarray) -> np.ndarray:
    """Pose (4, 4) of the grasp link that brings what the hand holds to `wanted` (4, 4), as it lies in it now."""
    position = operator.robot.joint_states(arm.arm.name).position
    hand = arm.model.kinematics.forward(arm.model.named(position))[GRASP_LINK]
    held = operator.robot.objects()[thing]
    return np.asarray(wanted @ np.linalg.inv(held) @ hand)
