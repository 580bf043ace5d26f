"""The motion of an arm's tip by differential IK: straight, within the joints' limits, slower where it gets hard.

A step is the wanted twist's, solved by damped least squares on the joints that can still move. Near a singularity the
joints would have to hurry: all of them are slowed alike, so that the tip stays on its line. It stops before it gets
there, because beyond it an arm stretches out and folds the other way. What cannot be followed is not replaced by
something similar: the tip slows down and stands.
"""

from __future__ import annotations

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import ArmLayout, Layout
from vgil_ros.robots.arm_model import GRASP_LINK, ArmModel
from vgil_ros.robots.kinematics import damped_step, pose_error
from vgil_ros.robots.transforms import pose, rotation_about
from vgil_ros.robots.urdf import Urdf

LEVER = 0.2  # m; a turn by 1 rad counts as much as this way
SHORT_LEVER = 0.01  # m; on an arm of fewer than six joints, which cannot keep its direction on every way
DAMPING = 1e-6  # (1 mm/rad)^2: small, as the speed limit slows a hard motion down long before
OFF_LINE = 0.25  # of the wanted way: a motion that is this far off it is not made at all
STRAY = 0.005  # m; as far as the tip may get off its line
SAME_WAY = 0.999  # cosine: a wish that turned by more begins a new line
AHEAD = 0.01  # rad; so far ahead it is looked whether a motion gets harder
AT_LIMIT = 1e-3  # rad; a joint this near to its limit does not go on towards it
HARD, TOO_HARD = 20.0, 60.0  # s/m; what joints at their speed take for a way of the tip: it slows down, and stops
APPROACH = 5.0  # 1/s; a joint's speed towards its limit, for each rad that is left


class TipMotion:
    """Moves the tip of one arm. Positions (J,) are in units of the action (rad; gripper 0..1), gripper included.

    Args:
        layout: the robot.
        arm: which arm of it.
        joint_speed: share of the contract's velocity limits that joints may take.
        tip: the link that is moved; "" for the grasp link, or the last link where there is none.

    Attributes:
        blocked: names of the joints that stood at a limit and would have had to go beyond in the last step.
        pace: what was made of the wish in the last step, 0..1.

    Raises:
        VgilError: for an arm without a URDF, or a link that it does not have.
    """

    def __init__(self, layout: Layout, arm: ArmLayout, joint_speed: float, tip: str = "") -> None:
        self.arm, self.model = arm, ArmModel(arm.arm)
        column = arm.gripper_column
        gripper = None if column is None else column - arm.columns.start
        self.columns = np.array([i for i in range(len(arm.arm.joints)) if i != gripper])
        self._names = [self.model.joints[i] for i in self.columns]
        velocity = layout.limit("velocity")
        assert velocity is not None
        self.lower = layout.lower[arm.columns][self.columns]
        self.upper = layout.upper[arm.columns][self.columns]
        self.speed = joint_speed * velocity[arm.columns][self.columns]
        self.tip = _tip_link(self.model.urdf, arm.arm.name, tip)
        self._mount = self.model.kinematics.mount
        self._line: tuple[np.ndarray, np.ndarray] | None = None  # where the tip should be (4, 4), and its direction
        self.blocked: tuple[str, ...] = ()
        self.pace = 1.0

    def pose(self, position: np.ndarray) -> np.ndarray:
        """Return where the tip is in the arm's own base, (4, 4)."""
        found: np.ndarray = np.linalg.inv(self._mount) @ self._links(position)[self.tip]
        return found

    def rest(self) -> None:
        """Nothing is wanted: the next wish begins a new line."""
        self._line, self.blocked, self.pace = None, (), 1.0

    def step(self, position: np.ndarray, twist: np.ndarray, in_tool: bool, dt: float) -> np.ndarray:
        """Return the arm's next position (J,).

        Args:
            position: the one before.
            twist: wanted (6,) m/s, rad/s.
            in_tool: its axes are the tip's, else those of the arm's base.
            dt: s.
        """
        links = self._links(position)
        tip = links[self.tip]
        axes = (tip if in_tool else self._mount)[:3, :3]
        weights = self._weights(twist)
        wish = weights * np.concatenate([axes @ twist[:3], axes @ twist[3:]]) * dt
        size = float(np.linalg.norm(wish))
        if size < 1e-12:
            self.rest()
            return position
        target = self._target(tip, wish / size)
        drift = weights * pose_error(tip, target)
        jacobian = weights[:, None] * self.model.kinematics.jacobian(links, self.tip, self._names)
        joints = position[self.columns]
        way, back = self._solve(jacobian, wish, drift, joints)
        made = jacobian @ way
        share = min(max(float(made @ wish) / size**2, 0.0), 1.0)
        off = float(np.linalg.norm(made - share * wish)) / size
        good = max(0.0, 1.0 - off / OFF_LINE) * max(0.0, 1.0 - float(np.linalg.norm(drift)) / STRAY)
        good *= self._ease(position, way, wish)
        move = good * way + back
        scale = self._scale(joints, move, dt)
        self.pace = good * scale * share
        self._line = (_moved(target, self.pace * wish / weights), wish / size)
        moved = position.copy()
        moved[self.columns] = joints + scale * move
        return moved

    def _links(self, position: np.ndarray) -> dict[str, np.ndarray]:
        return self.model.kinematics.forward(self.model.named(self.arm.command.restore(position)))

    def _weights(self, twist: np.ndarray) -> np.ndarray:
        straight = not np.any(twist[3:])
        lever = SHORT_LEVER if len(self.columns) < 6 and straight else LEVER
        return np.array([1.0, 1.0, 1.0, lever, lever, lever])

    def _target(self, tip: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Where the tip should be, (4, 4): on the line that it moves along."""
        if self._line is None or float(direction @ self._line[1]) < SAME_WAY:
            return tip.copy()
        return self._line[0]

    def _solve(
        self, jacobian: np.ndarray, wish: np.ndarray, drift: np.ndarray, joints: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The joints' steps (J,) for the wish and for the drift; joints at their limits are left out."""
        free = np.ones(len(joints), bool)
        wanted = np.stack([wish, drift], axis=1)
        steps = np.zeros((len(joints), 2))
        for _ in range(len(joints)):
            steps[:] = 0.0
            steps[free] = damped_step(jacobian[:, free], wanted, DAMPING)
            total = steps.sum(axis=1)
            low, high = joints - self.lower < AT_LIMIT, self.upper - joints < AT_LIMIT
            stuck = free & ((low & (total < 0)) | (high & (total > 0)))
            if not stuck.any():
                break
            free &= ~stuck
            if not free.any():
                steps[:] = 0.0
                break
        names = self.arm.arm.joints
        self.blocked = tuple(names[self.columns[i]] for i in np.flatnonzero(~free))
        return steps[:, 0], steps[:, 1]

    def _ease(self, position: np.ndarray, way: np.ndarray, wish: np.ndarray) -> float:
        """How much (0..1) of a way (J,) towards a singularity is made; all of one that leads away from it."""
        hard = self._hardness(way, wish)
        if hard <= HARD:
            return 1.0
        ahead = position.copy()
        ahead[self.columns] += way * min(1.0, AHEAD / float(np.abs(way).max()))
        links = self._links(ahead)
        weights = self._weights(wish)
        jacobian = weights[:, None] * self.model.kinematics.jacobian(links, self.tip, self._names)
        if self._hardness(damped_step(jacobian, wish, DAMPING), wish) <= hard:
            return 1.0
        return min(max((TOO_HARD - hard) / (TOO_HARD - HARD), 0.0), 1.0)

    def _hardness(self, way: np.ndarray, wish: np.ndarray) -> float:
        """How long joints at their speed take for a way of the tip, s/m."""
        return float(np.max(np.abs(way) / self.speed) / np.linalg.norm(wish))

    def _scale(self, joints: np.ndarray, move: np.ndarray, dt: float) -> float:
        """How much of a step (J,) the limits of speed and place allow, 0..1."""
        room = np.where(move > 0, self.upper - joints, joints - self.lower)
        most = np.minimum(self.speed, np.maximum(room, 0.0) * APPROACH) * dt
        moving = np.abs(move) > 0
        return min(1.0, float(np.min(most[moving] / np.abs(move[moving]), initial=1.0)))


def _moved(target: np.ndarray, way: np.ndarray) -> np.ndarray:
    """A pose (4, 4) by a way (6,) m, rad along the fixed axes further."""
    angle = float(np.linalg.norm(way[3:]))
    turned = target[:3, :3] if angle < 1e-12 else rotation_about(way[3:] / angle, angle) @ target[:3, :3]
    return pose(target[:3, 3] + way[:3], turned)


def _tip_link(urdf: Urdf, arm: str, wanted: str) -> str:
    if wanted:
        if wanted not in urdf.links:
            raise VgilError(f"arm '{arm}': tip is '{wanted}'; allowed: a link of its urdf, {list(urdf.links)}")
        return wanted
    if GRASP_LINK in urdf.links:
        return GRASP_LINK
    carrying = [joint.child for joint in urdf.joints if joint.kind != "prismatic"]
    return carrying[-1] if carrying else urdf.root
