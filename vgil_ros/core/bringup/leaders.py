"""The leaders of a robot as a robot of their own, so that they are moved through the same safety chain as followers."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.bringup.units import Unit
from vgil_ros.core.contract import Arm, CommandTopic, Contract, Gripper, Limits

COMMANDS = "commands/joint_group"
LEADER = "_leader"  # behind an arm's name


def leaders_of(contract: Contract, units: tuple[Unit, ...]) -> Contract | None:
    """The contract of the leaders among some units; None where there are none.

    They have their followers' limits and poses, and grippers that count as their masters' do: half open in the start
    pose, so that the operator can close them.
    """
    arms = tuple(_leader(unit) for unit in units if unit.leads)
    if not arms:
        return None
    guard = contract.guard.model_copy(update={"margin": contract.guard.master_margin, "off": ()})
    off = tuple(arm.name for arm in arms if arm.name.removesuffix(LEADER) in contract.following.off)
    following = contract.following.model_copy(update={"off": off})
    return Contract(
        name=f"{contract.name}_leaders",
        rate_hz=contract.rate_hz,
        arms=arms,
        sync=contract.sync.model_copy(update={"method": "clock"}),
        guard=guard,
        following=following,
    )


def _leader(unit: Unit) -> Arm:
    arm = unit.arm
    assert arm.master is not None
    limits = {key: np.array(getattr(arm.limits, key)) for key in ("lower", "upper", "velocity")}
    poses = {key: np.array(getattr(arm, key) or arm.home) for key in ("home", "start", "sleep")}
    gripper = None
    if arm.gripper is not None:
        at, ends = arm.joints.index(arm.gripper.joint), arm.gripper.master_range
        limits["lower"][at], limits["upper"][at] = min(ends), max(ends)
        for pose in poses.values():
            pose[at] = sum(ends) / 2
        gripper = Gripper(joint=arm.gripper.joint, puppet_range=ends, master_range=ends)
    return Arm(
        name=f"{arm.name}{LEADER}",
        puppet=arm.master,
        command=CommandTopic(topic=f"{unit.space}/{COMMANDS}", type="interbotix_group"),
        joints=arm.joints,
        limits=Limits(**{key: tuple(values.tolist()) for key, values in limits.items()}),
        home=tuple(poses["home"].tolist()),
        start=tuple(poses["start"].tolist()),
        sleep=tuple(poses["sleep"].tolist()),
        gripper=gripper,
    )
