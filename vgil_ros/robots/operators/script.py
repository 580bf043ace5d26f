"""An operator is a script of moves: each is aimed when it begins, at where things truly are then."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar, Protocol

import numpy as np

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.layout import Layout
from vgil_ros.robots.arm_model import GRASP_LINK, ArmModel, JointStates
from vgil_ros.robots.operators.motion import Tremor, min_jerk
from vgil_ros.robots.transforms import pose, rotation_rpy

OPEN = 1.0
HOLD = 0.25  # what a gripper closes to around the cube: past its width, so that the servo presses
TREMOR = 0.003  # rad
AIM = 0.0015  # m; standard deviation of where the operator aims
NEAR = 0.015  # m; the same where it only comes near, to look again before it touches
NEAR_TURN = 0.12  # rad; and how far off it is turned about the vertical then
MEET = 1.2  # s that a master takes to where its puppet is, for a takeover
LAG = 0.03  # rad; the operator waits until the puppet is as near as this before it does the next thing
STILL = 0.1  # of its range a second; slower than this a gripper has closed or opened
PATIENCE = 3.0  # s; but no longer than this, unless the move is a patient one
HURRY = (0.92, 1.08)  # share of a move's usual duration


class OperatedArm(Protocol):
    """An arm as an operator knows it: limits and home (J,) in the contract's order and units."""

    @property
    def arm(self) -> Arm: ...
    @property
    def model(self) -> ArmModel: ...
    @property
    def home(self) -> np.ndarray: ...
    @property
    def lower(self) -> np.ndarray: ...
    @property
    def upper(self) -> np.ndarray: ...


class OperatedRobot(Protocol):
    """A robot that an operator can lead: it is looked at, not moved. Of our own simulator or of another's."""

    @property
    def contract(self) -> Contract: ...
    @property
    def arms(self) -> Mapping[str, OperatedArm]: ...
    @property
    def taking_part(self) -> Sequence[OperatedArm]:
        """The arms that the task needs, in the order of their part in it."""

    @property
    def task_name(self) -> str: ...
    @property
    def task_operator(self) -> str:
        """The operator that the task itself brings, as `module:Class`; "" for none."""

    @property
    def time(self) -> float:
        """Seconds since the reset."""

    def objects(self) -> Mapping[str, np.ndarray]:
        """True pose (4, 4) of each of the task's things."""

    def joint_states(self, arm: str) -> JointStates:
        """What a puppet measures."""

    def base_pose(self) -> np.ndarray:
        """Where the robot's frame stands, (4, 4)."""


@dataclass(frozen=True)
class Goal:
    """Where a gripper goes: grasp link's pose (4, 4) in the fixed frame, or None to stay; grip 0..1, or None to keep;
    or where all joints (J,) go.

    `near`: roughly there will do. What follows is aimed anew, so that demonstrations show how to correct: a policy that
    learns from them has to look, as where the gripper is does not tell it where the thing is.
    """

    pose: np.ndarray | None = None
    grip: float | None = None
    home: bool = False
    near: bool = False
    joints: np.ndarray | None = None


@dataclass(frozen=True)
class Move:
    """One move of one or more arms, in seconds. `patient`: wait for the puppets however long it takes."""

    duration: float
    goals: Mapping[str, Goal]
    patient: bool = False


class Operator(ABC):
    """Moves the masters of a robot. Ask `masters` once a tick, with time that goes on.

    Args:
        robot: whose masters these are; its things and puppets are looked at, it is not moved.
        seed: of the operator's inaccuracies.

    Attributes:
        near, near_turn: see `NEAR`, `NEAR_TURN`; less where things stand close to the fingers.
    """

    near: ClassVar[float] = NEAR
    near_turn: ClassVar[float] = NEAR_TURN

    def __init__(self, robot: OperatedRobot, seed: int = 0) -> None:
        self.robot = robot
        self._layouts = {layout.arm.name: layout for layout in Layout(robot.contract).arms}
        self.reset(seed)

    @abstractmethod
    def script(self) -> Iterator[Move]:
        """Yield the moves. Code between two of them runs when the first is done."""

    def reset(self, seed: int) -> None:
        """Take the masters home and begin the script anew."""
        self._rng = np.random.default_rng([seed, 1])
        self._plan = {name: arm.home.copy() for name, arm in self.robot.arms.items()}
        self._tremor = {n: Tremor(len(arm.home), TREMOR, self._rng) for n, arm in self.robot.arms.items()}
        self._moves: Iterator[Move] = self.script()
        self._move: Move | None = None
        self.finished = False

    def take_over(self) -> None:
        """Bring the masters to the puppets, and do the task from there with things as they lie: as who corrects a
        policy."""
        goals = {}
        for name, arm in self.robot.arms.items():
            measured = self.robot.joint_states(name).position[: len(arm.arm.joints)]
            goals[name] = Goal(joints=np.clip(measured, arm.lower, arm.upper))
        self._moves = chain([Move(MEET, goals)], self.script())
        self._move, self.finished = None, False

    def home(self) -> dict[str, np.ndarray]:
        """Return the position (J,) of each master at home."""
        return {name: self._as_master(arm, arm.home) for name, arm in self.robot.arms.items()}

    def masters_after(self, rest_s: float) -> dict[str, np.ndarray]:
        """As `masters`, but at home for the first `rest_s` seconds after a reset."""
        return self.home() if self.robot.time < rest_s else self.masters()

    def masters(self) -> dict[str, np.ndarray]:
        """Return the position (J,) of each master at the robot's time, in the contract's order and master's units."""
        now = self.robot.time
        if self._move is None or self._over(now):
            self._next(now)
        share = 1.0 if self._move is None else (now - self._started) / self._duration
        way = min_jerk(share)
        positions = {}
        for name, arm in self.robot.arms.items():
            position = self._from[name] + way * (self._to[name] - self._from[name])
            self._plan[name] = position
            positions[name] = self._as_master(arm, position + self._trembling(arm, now))
        return positions

    def _over(self, now: float) -> bool:
        assert self._move is not None
        late = now - self._started - self._duration
        if late < 0 or self.finished:
            return False
        if self._behind() < LAG:
            return True
        return late > PATIENCE and not self._move.patient

    def _behind(self) -> float:
        """Largest distance (rad) of a puppet's joint from where its master goes; infinite while a gripper moves.

        A gripper may be held open by what it holds, so that it is its speed that tells.
        """
        worst = 0.0
        for name, arm in self.robot.arms.items():
            count, gripper = len(arm.arm.joints), arm.arm.gripper
            states = self.robot.joint_states(name)
            gap = np.abs(states.position[:count] - self._to[name])
            worst = max(worst, float(gap[_arm_columns(arm)].max()))
            if gripper is not None:
                closed, opened = gripper.puppet_range
                speed = states.velocity[arm.arm.joints.index(gripper.joint)] / (opened - closed)
                worst = np.inf if abs(speed) > STILL else worst
        return worst

    def _next(self, now: float) -> None:
        move = next(self._moves, None)
        self._from = {name: position.copy() for name, position in self._plan.items()}
        self._to = {name: position.copy() for name, position in self._plan.items()}
        self._started = now
        if move is None:
            self.finished, self._duration = True, 1.0
            self._move = self._move or Move(1.0, {})
            return
        self._move, self._duration = move, move.duration * float(self._rng.uniform(*HURRY))
        for name, goal in move.goals.items():
            self._to[name] = self._aim(self.robot.arms[name], goal, self._to[name])

    def _aim(self, arm: OperatedArm, goal: Goal, stay: np.ndarray) -> np.ndarray:
        if goal.joints is not None:
            return goal.joints
        position = arm.home.copy() if goal.home else stay.copy()
        columns = _arm_columns(arm)
        if goal.pose is not None:
            position[columns] = reach(arm, np.linalg.inv(self.robot.base_pose()) @ self._missed(goal.pose, goal.near))
        gripper = arm.arm.gripper
        if gripper is not None:
            column = arm.arm.joints.index(gripper.joint)
            closed, opened = gripper.puppet_range
            position[column] = stay[column] if goal.grip is None else closed + goal.grip * (opened - closed)
        return position

    def _missed(self, target: np.ndarray, near: bool) -> np.ndarray:
        """A pose (4, 4) as the operator aims at it."""
        pose = target.copy()
        if near:
            pose[:2, 3] += np.clip(self._rng.normal(0, self.near, 2), -2 * self.near, 2 * self.near)
            turn = np.clip(self._rng.normal(0, self.near_turn), -2 * self.near_turn, 2 * self.near_turn)
            pose[:3, :3] = rotation_rpy([0.0, 0.0, float(turn)]) @ pose[:3, :3]
        pose[:3, 3] += np.clip(self._rng.normal(0, AIM, 3), -2 * AIM, 2 * AIM)
        return pose

    def _trembling(self, arm: OperatedArm, now: float) -> np.ndarray:
        deviation = np.zeros(len(arm.home))
        columns = _arm_columns(arm)
        deviation[columns] = self._tremor[arm.arm.name].at(now)[columns]
        return deviation

    def _as_master(self, arm: OperatedArm, position: np.ndarray) -> np.ndarray:
        layout = self._layouts[arm.arm.name]
        return layout.master.restore(layout.command.normalise(np.clip(position, arm.lower, arm.upper)))


def _arm_columns(arm: OperatedArm) -> list[int]:
    return [i for i, joint in enumerate(arm.model.joints) if joint != arm.model.finger]


def reach(arm: OperatedArm, target: np.ndarray) -> np.ndarray:
    """Return the arm's joints without the finger, (J-1,) rad, with the grasp link at `target` (4, 4).

    Always sought from home turned towards the target, so that equal targets give equal joints by whatever way.

    Raises:
        KinematicsError: where it is out of reach.
    """
    model = arm.model
    start = model.named(arm.home)
    local = np.linalg.inv(model.kinematics.mount) @ target
    start[model.joints[0]] = float(np.arctan2(local[1, 3], local[0, 3]))
    joints = [model.joints[i] for i in _arm_columns(arm)]
    return model.kinematics.inverse(GRASP_LINK, target, joints, start)


def from_above(arm: OperatedArm, xyz: np.ndarray, across: float | None = None) -> np.ndarray:
    """Return the pose (4, 4) of a gripper that points straight down at `xyz` (3,).

    Args:
        arm: whose gripper; it is turned as little as possible from the arm's own direction.
        xyz: m, in the fixed frame.
        across: rad; the yaw of a cube to be taken by two of its faces. None: the arm's own direction.
    """
    away = xyz[:2] - arm.model.kinematics.mount[:2, 3]
    own = float(np.arctan2(away[1], away[0]))
    yaw = own
    if across is not None:
        quarter = np.pi / 2
        yaw = across + quarter * round((own - across) / quarter)
    sine, cosine = np.sin(yaw), np.cos(yaw)
    rotation = np.array([[0.0, -sine, cosine], [0.0, cosine, sine], [-1.0, 0.0, 0.0]])
    return pose(xyz, rotation)


def yaw_of(matrix: np.ndarray) -> float:
    """Return the yaw (rad) of a thing that lies flat."""
    return float(np.arctan2(matrix[1, 0], matrix[0, 0]))
