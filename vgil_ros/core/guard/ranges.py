"""What a stream's joints, or the columns of qpos, can read: the contract's limits with their margins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgil_ros.core.contract import Arm
from vgil_ros.core.guard.settings import Guard
from vgil_ros.core.layout import Affine, Layout

GRIPPER_MARGIN = 3.0  # times its range: feedback is crooked, and a trigger is pressed as hard as one likes


@dataclass(frozen=True, eq=False)
class Ranges:
    """Arrays are (J,), read-only by convention.

    Attributes:
        names: of the joints.
        lower, upper: the limits.
        margin: how far beyond them a joint may read.
        velocity: the velocity limits, a second; infinite for a gripper, which a finger moves as fast as it likes.
        arm: bool, the joints that are no gripper.
        speed: the fastest that a joint may read to move, in velocity limits.
    """

    names: tuple[str, ...]
    lower: np.ndarray
    upper: np.ndarray
    margin: np.ndarray
    velocity: np.ndarray
    arm: np.ndarray
    speed: float


def puppet_ranges(arm: Arm, guard: Guard) -> Ranges:
    """What a puppet's messages can say, in their own units: what measures a gripper is judged by its own range."""
    gripper = arm.gripper
    if gripper is None:
        return _ranges(arm, guard, guard.margin, None)
    if gripper.feedback:
        return _ranges(arm, guard, guard.margin, gripper.feedback.range)
    column = arm.joints.index(gripper.joint)
    return _ranges(arm, guard, guard.margin, (arm.limits.lower[column], arm.limits.upper[column]))


def master_ranges(arm: Arm, guard: Guard) -> Ranges:
    """What a master's messages can say: the limits of its puppet, as far as it has no others."""
    return _ranges(arm, guard, guard.master_margin, arm.gripper.master_range if arm.gripper else None)


def qpos_ranges(layout: Layout) -> Ranges:
    """What the columns of qpos can be, (J,) in its units: rad, grippers 0..1. An end marker is left out."""
    guard = layout.contract.guard
    return _joined(layout, [_scaled(puppet_ranges(a.arm, guard), a.state) for a in layout.arms])


def _ranges(arm: Arm, guard: Guard, margin: float, gripper: tuple[float, float] | None) -> Ranges:
    lower, upper = np.array(arm.limits.lower), np.array(arm.limits.upper)
    velocity = np.array(arm.limits.velocity)
    joints = np.ones(len(arm.joints), bool)
    margins = np.minimum(margin, upper - lower)
    if arm.gripper is not None and gripper is not None:
        column = arm.joints.index(arm.gripper.joint)
        lower[column], upper[column] = min(gripper), max(gripper)
        margins[column] = GRIPPER_MARGIN * (upper[column] - lower[column])
        joints[column], velocity[column] = False, np.inf
    return Ranges(arm.joints, lower, upper, margins, velocity, joints, guard.speed)


def _scaled(ranges: Ranges, units: Affine) -> Ranges:
    ends = np.stack([units.normalise(ranges.lower), units.normalise(ranges.upper)])
    scale = np.abs(units.scale)
    return Ranges(
        ranges.names, ends.min(axis=0), ends.max(axis=0), ranges.margin / scale, ranges.velocity / scale, ranges.arm,
        ranges.speed,
    )  # fmt: skip


def _joined(layout: Layout, parts: list[Ranges]) -> Ranges:
    def column(key: str) -> np.ndarray:
        return np.concatenate([getattr(part, key) for part in parts])

    return Ranges(
        layout.joint_names[: layout.joints],
        column("lower"),
        column("upper"),
        column("margin"),
        column("velocity"),
        column("arm"),
        parts[0].speed,
    )
