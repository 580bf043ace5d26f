"""Hold a checkpoint against a robot, in words: what `vgil checkpoint check` and the policy node call before motion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.policies.base import Policy
from vgil_ros.policies.checkpoint import load_policy
from vgil_ros.policies.config import UNSCALED, PolicyConfig
from vgil_ros.policies.normalizer import VectorNormalizer

# Shares of a joint's range by which data may lie beyond its limits: what is measured hardly does, a leader may well.
SLACK = {"qpos": 0.1, "action": 0.5}
RATE_TOLERANCE = 0.01  # of the rate: 50 and 49.9 Hz are the same


@dataclass(frozen=True)
class RobotProfile:
    """What a policy must agree with.

    Attributes:
        name: the robot's name; cameras: name -> (height, width) in the contract's order.
        joint_names: flat, in the order of qpos, like "left/waist".
        state_dim: width of qpos; action_dim: of an action without the base; action_dim_with_base: with it, None if the
            robot has no base.
        rate_hz: of the control loop. vectors: name -> numbers, of the further ones; meanings: name -> what these are.
    """

    name: str
    cameras: Mapping[str, tuple[int, int]]
    joint_names: tuple[str, ...]
    state_dim: int
    action_dim: int
    action_dim_with_base: int | None
    rate_hz: float
    vectors: Mapping[str, int] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)


def profile_of(layout: Layout) -> RobotProfile:
    """What a robot's contract says of it."""
    contract, names, dim = layout.contract, layout.joint_names, layout.dim
    with_base = dim + 2 if contract.base else None
    vectors = {vector.name: vector.width for vector in contract.vectors}
    meanings = {vector.name: vector.meaning for vector in contract.vectors}
    sizes, rate_hz = camera_sizes(layout), contract.rate_hz
    return RobotProfile(contract.name, sizes, names, dim, dim, with_base, rate_hz, vectors, meanings)


def camera_sizes(layout: Layout) -> dict[str, tuple[int, int]]:
    """(height, width) of a robot's cameras, but for depth."""
    return {camera.name: (camera.height, camera.width) for camera in layout.contract.cameras if not camera.is_depth}


def load_for_robot(checkpoint: str | Path, layout: Layout) -> Policy:
    """Load a checkpoint folder that is to move a robot.

    Raises:
        VgilError: for a checkpoint that cannot be used, or with every mismatch between it and the robot, one a line.
    """
    policy = load_policy(checkpoint)
    if wrong := compare_with_robot(policy, layout):
        lines = "\n".join(f"  - {line}" for line in wrong)
        raise VgilError(f"checkpoint {checkpoint} does not fit robot '{layout.contract.name}':\n{lines}")
    return policy


def compare_with_robot(policy: Policy, layout: Layout) -> list[str]:
    """Name every mismatch between a policy and a robot: shapes, names, rate, and the range of its training data."""
    wrong = compare_with_contract(policy.config, profile_of(layout))
    return wrong + compare_with_limits(policy, layout.lower, layout.upper, layout.joint_names[: layout.joints])


def compare_with_contract(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    """Name every mismatch; an empty list means that the policy fits.

    What a checkpoint does not know (image sizes, joints, rate) cannot mismatch; `unchecked_fields` lists it.
    Cameras of the robot that the policy does not use are no mismatch.
    """
    return [
        *_scaling(config),
        *_cameras(config, robot),
        *_vectors(config, robot),
        *_joints(config, robot),
        *_dims(config, robot),
        *_rate(config, robot),
    ]


def unchecked_fields(config: PolicyConfig) -> list[str]:
    """Say what the checkpoint does not tell, and `compare_with_contract` could therefore not check."""
    words = [f"size of camera {camera.name}" for camera in config.cameras if camera.height is None]
    words += [f"what vector {vector.name} holds" for vector in config.vectors if not vector.meaning]
    told = {"joint_names": bool(config.joint_names), "rate_hz": config.rate_hz is not None}
    for key, what in (("joint_names", "joint names and their order"), ("rate_hz", "rate")):
        if not told[key]:
            words.append(what)
        elif key in config.assumed:
            words.append(f"{what} (assumed on import, from a robot)")
    return words


def compare_with_limits(policy: Policy, lower: np.ndarray, upper: np.ndarray, names: tuple[str, ...]) -> list[str]:
    """Name every joint whose training data cannot come from this robot: other units, other zero, other order.

    Args:
        lower, upper: joint limits (J,) in rad of the first J values of qpos and of an action; what follows them (an end
            marker, the base) has none. names: of the joints (J,).
    """
    widths = {"qpos": policy.config.state_dim, "action": policy.config.action_dim}
    parts = {"qpos": policy.normalizer.qpos, "action": policy.normalizer.action}
    words = []
    for what, part in parts.items():
        if part.spec.mode != "identity" and len(lower) <= widths[what]:
            words += [f"{what} of {line}" for line in _beyond(part, lower, upper, names, SLACK[what])]
    return words


def _beyond(
    part: VectorNormalizer, lower: np.ndarray, upper: np.ndarray, names: tuple[str, ...], share: float
) -> list[str]:
    if part.spec.mode == "mean_std":
        low = high = part.mean.cpu().numpy()
        spread = part.std.cpu().numpy()
    else:
        low, high = part.min.cpu().numpy(), part.max.cpu().numpy()
        spread = (high - low) / 2
    slack = share * (upper - lower)
    words = []
    for index, name in enumerate(names):
        if low[index] < lower[index] - slack[index] or high[index] > upper[index] + slack[index]:
            trained = f"{low[index]:.3g}" if low[index] == high[index] else f"{low[index]:.3g}..{high[index]:.3g}"
            limits = f"{lower[index]:.3g}..{upper[index]:.3g}"  # rad; of a gripper 0..1
            words.append(f"joint {name}: trained around {trained}, the robot's limits are {limits}")
        elif spread[index] > upper[index] - lower[index]:
            words.append(
                f"joint {name}: trained with a spread of {spread[index]:.3g}, the robot's whole range is "
                f"{upper[index] - lower[index]:.3g}"
            )
    return words


def _scaling(config: PolicyConfig) -> list[str]:
    if config.source != UNSCALED:
        return []
    return [
        "statistics: it was imported without any, so its actions have no units; it is for `vgil train initial=` alone"
    ]


def _cameras(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    words = []
    for camera in config.cameras:
        size = robot.cameras.get(camera.name)
        if size is None:
            words.append(f"camera {camera.name}: not on robot {robot.name}, which has {list(robot.cameras)}")
        elif camera.height is not None and (camera.height, camera.width) != size:
            words.append(
                f"camera {camera.name}: the policy takes {camera.height}x{camera.width} images, "
                f"robot {robot.name} gives {size[0]}x{size[1]}"
            )
    return words


def _vectors(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    words = []
    for vector in config.vectors:
        size = robot.vectors.get(vector.name)
        if size is None:
            words.append(f"vector {vector.name}: not on robot {robot.name}, which has {list(robot.vectors)}")
        elif size != vector.size:
            words.append(
                f"vector {vector.name}: the policy takes {vector.size} numbers, robot {robot.name} gives {size}"
            )
        elif vector.meaning and (found := robot.meanings.get(vector.name, vector.meaning)) != vector.meaning:
            words.append(
                f"vector {vector.name}: the policy takes type {vector.meaning}, robot {robot.name} gives {found}"
            )
    return words


def _joints(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    ours, robots = config.joint_names, robot.joint_names
    if not ours or ours == robots:
        return []
    missing = [name for name in ours if name not in robots]
    unknown = [name for name in robots if name not in ours]
    words = []
    if missing:
        words.append(f"joints: robot {robot.name} lacks {', '.join(missing)}")
    if unknown:
        words.append(f"joints: the policy does not know {', '.join(unknown)}")
    if not words:
        first = next(i for i, pair in enumerate(zip(ours, robots, strict=True)) if pair[0] != pair[1])
        words.append(
            f"joints: same names, other order: at place {first} the policy has {ours[first]}, "
            f"robot {robot.name} has {robots[first]}"
        )
    return words


def _dims(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    words = []
    if config.qpos_dim != robot.state_dim:
        words.append(f"qpos: the policy takes {config.qpos_dim} values, robot {robot.name} has {robot.state_dim}")
    allowed = [robot.action_dim]
    if robot.action_dim_with_base is not None:
        allowed.append(robot.action_dim_with_base)
    if config.action_dim not in allowed:
        takes = " or ".join(f"{dim} {kind}" for dim, kind in zip(allowed, ("without base", "with base"), strict=False))
        words.append(f"action: the policy gives {config.action_dim} values, robot {robot.name} takes {takes}")
    return words


def _rate(config: PolicyConfig, robot: RobotProfile) -> list[str]:
    if config.rate_hz is None or abs(config.rate_hz - robot.rate_hz) <= RATE_TOLERANCE * robot.rate_hz:
        return []
    return [f"rate: the policy was trained at {config.rate_hz:g} Hz, robot {robot.name} runs at {robot.rate_hz:g} Hz"]
