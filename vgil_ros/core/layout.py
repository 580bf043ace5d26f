"""Layout of qpos and action: the column of each joint, and messages to those numbers and back.

Arms stand in the contract's order, joints in the arm's order, matched by name. A gripper's column is normalised to
0..1 (closed..open): the state by the puppet's range, the action by the master's. An end marker, where the contract
has one, is one more dimension at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.errors import VgilError

POSITION, VELOCITY, EFFORT = 0, 1, 2  # rows of a joint payload


class JointError(VgilError):
    """A joint message that lacks a joint, or holds a number that is none.

    Attributes:
        stream: the stream's name.
        detail: what is wrong with the message.
    """

    def __init__(self, stream: str, detail: str) -> None:
        super().__init__(f"{stream}: {detail}")
        self.stream, self.detail = stream, detail


@dataclass(frozen=True)
class JointReader:
    """Reads one JointState-like message into a payload, by joint name.

    Attributes:
        stream: the stream's name, for errors.
        joints: the names to read, in the order of the payload.
        effort_joints: the names whose effort is read, where they are others.
        kind: of the messages, as a contract has it.
    """

    stream: str
    joints: tuple[str, ...]
    effort_joints: tuple[str, ...] | None = None
    kind: str = "joint_state"

    def read(
        self,
        names: Sequence[str],
        position: Sequence[float] | np.ndarray,
        velocity: Sequence[float] | np.ndarray = (),
        effort: Sequence[float] | np.ndarray = (),
    ) -> np.ndarray:
        """Return the payload (3, J) float64: position, velocity, effort.

        What is not measured is NaN; a velocity or effort of another length than the names is none.

        Raises:
            JointError: for a missing joint, positions of another length than the names, or one that is no number.
        """
        index, effort_index = self._index(tuple(names))
        payload = np.full((3, len(self.joints)), np.nan)
        rows = (("position", position, index), ("velocity", velocity, index), ("effort", effort, effort_index))
        for row, (key, values, at) in enumerate(rows):
            if len(values) == len(names):
                payload[row] = np.asarray(values, np.float64)[at]
            elif row == POSITION:
                raise JointError(self.stream, f"{len(values)} values of {key} for {len(names)} joint names")
        if not np.isfinite(payload[POSITION]).all():
            bad = [joint for joint, x in zip(self.joints, payload[POSITION], strict=True) if not np.isfinite(x)]
            raise JointError(self.stream, f"position of {bad} is not a finite number")
        return payload

    def concerns(self, names: Sequence[str]) -> bool:
        """Whether a message with these names holds any of the joints: on a shared topic it may be another arm's."""
        return not self._wanted.isdisjoint(names)

    @cached_property
    def _wanted(self) -> frozenset[str]:
        return frozenset(self.joints + (self.effort_joints or ()))

    def _index(self, names: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
        cached = self._cache.get(names)
        if cached is None:
            wanted = (self.joints, self.effort_joints or self.joints)
            missing = [joint for joint in dict.fromkeys(wanted[0] + wanted[1]) if joint not in names]
            if missing:
                raise JointError(self.stream, f"joint {missing} is not in the message; found {list(names)}")
            duplicates = [joint for joint in dict.fromkeys(wanted[0] + wanted[1]) if names.count(joint) > 1]
            if duplicates:
                raise JointError(self.stream, f"joint {duplicates} is in the message more than once; allowed: once")
            cached = (np.array([names.index(j) for j in wanted[0]]), np.array([names.index(j) for j in wanted[1]]))
            self._cache.clear()  # a driver keeps to one order; a strange one must not grow this
            self._cache[names] = cached
        return cached

    @cached_property
    def _cache(self) -> dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]]:
        return {}


def puppet_reader(arm: Arm) -> JointReader:
    """Reader of a puppet's states.

    The gripper's position and velocity may be measured by a joint of their own; its effort is the motor's (ALOHA's
    rule: Interbotix' drivers publish none for a finger).
    """
    return JointReader(f"{arm.name}/puppet", arm.measured_joints, arm.puppet_joints, arm.puppet.type)


def master_reader(arm: Arm) -> JointReader:
    """Reader of a master's states."""
    kind = arm.master.type if arm.master else "joint_state"
    return JointReader(f"{arm.name}/master", arm.master_joints, kind=kind)


class Affine:
    """`normalised = (raw - offset) / scale`, joint by joint; identity where there is no gripper."""

    def __init__(self, size: int, column: int | None, closed_open: tuple[float, float] | None) -> None:
        self.offset = np.zeros(size)
        self.scale = np.ones(size)
        if column is not None and closed_open is not None:
            self.offset[column] = closed_open[0]
            self.scale[column] = closed_open[1] - closed_open[0]

    def normalise(self, raw: np.ndarray) -> np.ndarray:
        """Robot units -> units of qpos and action, (..., J)."""
        return (raw - self.offset) / self.scale

    def restore(self, normalised: np.ndarray) -> np.ndarray:
        """Units of qpos and action -> robot units, (..., J)."""
        return normalised * self.scale + self.offset


@dataclass(frozen=True)
class ArmLayout:
    """One arm's place: `columns` of qpos and action, and its three gripper mappings."""

    arm: Arm
    columns: slice
    state: Affine
    master: Affine
    command: Affine

    @property
    def gripper_column(self) -> int | None:
        """Column of the gripper within qpos, or None."""
        if self.arm.gripper is None:
            return None
        return int(self.columns.start) + self.arm.joints.index(self.arm.gripper.joint)


class Layout:
    """The numbers of a robot: names, columns, limits in the units of qpos and action."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        arms, start = [], 0
        for arm in contract.arms:
            arms.append(_arm_layout(arm, start))
            start += len(arm.joints)
        self.arms: tuple[ArmLayout, ...] = tuple(arms)
        self.joints = start
        self.dim = start + (1 if contract.end_marker else 0)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Names of the columns of qpos and action: "left/waist", ..., and "end_marker" where there is one."""
        names = [f"{arm.name}/{joint}" for arm in self.contract.arms for joint in arm.joints]
        return (*names, "end_marker") if self.contract.end_marker else tuple(names)

    @cached_property
    def image_names(self) -> tuple[str, ...]:
        """Names of the colour cameras, in the contract's order."""
        return tuple(camera.name for camera in self.contract.cameras if not camera.is_depth)

    @cached_property
    def depth_names(self) -> tuple[str, ...]:
        """Names of the depth cameras, in the contract's order."""
        return tuple(camera.name for camera in self.contract.cameras if camera.is_depth)

    def limit(self, key: str) -> np.ndarray | None:
        """A limit `lower`, `upper`, `velocity` or `acceleration` of all joints (J,), in units of qpos and action."""
        parts = []
        for layout in self.arms:
            values = getattr(layout.arm.limits, key)
            if values is None:
                return None
            raw = np.asarray(values, np.float64)
            rate = key in ("velocity", "acceleration")
            parts.append(raw / np.abs(layout.command.scale) if rate else layout.command.normalise(raw))
        return np.concatenate(parts)

    @cached_property
    def lower(self) -> np.ndarray:
        """Lower limits (J,); a gripper whose range runs backwards has its ends swapped."""
        return np.minimum(self.limit("lower"), self.limit("upper"))  # type: ignore[arg-type]

    @cached_property
    def upper(self) -> np.ndarray:
        """Upper limits (J,)."""
        return np.maximum(self.limit("lower"), self.limit("upper"))  # type: ignore[arg-type]

    @cached_property
    def home(self) -> np.ndarray:
        """Home (J,), in units of qpos and action."""
        return np.concatenate([a.command.normalise(np.asarray(a.arm.home, np.float64)) for a in self.arms])

    def state(self, payloads: Sequence[np.ndarray]) -> np.ndarray:
        """Return (3, J) float64 from the puppets' payloads: qpos, qvel, effort (NaN rows where not measured)."""
        out = np.empty((3, self.joints))
        for layout, payload in zip(self.arms, payloads, strict=True):
            out[POSITION, layout.columns] = layout.state.normalise(payload[POSITION])
            out[VELOCITY, layout.columns] = payload[VELOCITY] / layout.state.scale
            out[EFFORT, layout.columns] = payload[EFFORT]
        return out

    def action(self, payloads: Sequence[np.ndarray]) -> np.ndarray:
        """Return (J,) float64 from the masters' payloads: the action a person gives."""
        parts = [a.master.normalise(p[POSITION]) for a, p in zip(self.arms, payloads, strict=True)]
        return np.concatenate(parts)

    def commands(self, action: np.ndarray) -> list[np.ndarray]:
        """Split an action (>= J,) into one command a puppet, each (joints,) in robot units."""
        return [layout.command.restore(action[layout.columns]) for layout in self.arms]


def _arm_layout(arm: Arm, start: int) -> ArmLayout:
    size, gripper = len(arm.joints), arm.gripper
    columns = slice(start, start + size)
    if gripper is None:
        return ArmLayout(arm, columns, *(Affine(size, None, None) for _ in range(3)))
    column = arm.joints.index(gripper.joint)
    state = gripper.feedback.range if gripper.feedback else gripper.puppet_range
    ranges = (state, gripper.master_range, gripper.puppet_range)
    return ArmLayout(arm, columns, *(Affine(size, column, r) for r in ranges))
