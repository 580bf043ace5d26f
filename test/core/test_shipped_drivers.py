"""What the shipped contracts name is what the drivers of those robots have: topics, types, joints and their order."""

from __future__ import annotations

import pytest
from support.robots.drivers import DRIVERS
from support.robots.parts import Commands, Driver, States

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm, Contract

KINDS = {  # of a contract's command, in words of the drivers
    "joint_trajectory": ("trajectory",),
    "float64_multi_array": ("array",),
    "joint_state": ("by_name", "by_position"),
    "interbotix_group": ("interbotix",),
    "float32": ("float32",),
    "gripper_command": ("gripper_command",),
    "parallel_gripper_command": ("parallel",),
}
IN_ORDER = {"array", "by_position", "interbotix"}  # what is not taken by name


def states_at(driver: Driver, topic: str) -> States:
    return next(states for states in driver.states if states.topic == topic)


def commands_at(driver: Driver, topic: str, kind: str) -> Commands:
    found = next(commands for commands in driver.commands if topic in (commands.topic, f"{commands.topic}/joint_group"))
    assert found.kind in KINDS[kind], (found.kind, kind)
    return found


def check_arm(driver: Driver, arm: Arm) -> set[str]:
    """Hold one arm against its drivers; return the topics of the commands that it covers."""
    assert {*arm.measured_joints, *arm.puppet_joints} <= set(states_at(driver, arm.puppet.topic).joints)
    assert arm.master is not None
    master = states_at(driver, arm.master.topic)
    assert master.kind == arm.master.type
    assert master.kind != "joint_state" or set(arm.master_joints) <= set(master.joints)
    command = commands_at(driver, arm.command.topic, arm.command.type)
    covered = {command.topic}
    own = arm.command_joints if command.kind in ("interbotix", "by_position", "by_name") else arm.own_joints
    if command.kind in IN_ORDER:
        assert own == command.joints
    elif command.kind in ("trajectory", "by_name"):
        assert set(own) == set(command.joints)
    if arm.gripper and arm.gripper.command:
        gripper = commands_at(driver, arm.gripper.command.topic, arm.gripper.command.type)
        assert gripper.joints == (arm.gripper.command.joint or arm.puppet_joints[arm.joints.index(arm.gripper.joint)],)
        low, high = sorted(arm.gripper.command.range or arm.gripper.puppet_range)
        assert gripper.low <= low < high <= gripper.high
        covered.add(gripper.topic)
    return covered


@pytest.mark.parametrize("robot", sorted(DRIVERS))
def test_a_contract_names_what_the_drivers_have(robot: str) -> None:
    contract: Contract = load_contract(robot)[0]
    driver = DRIVERS[robot]()
    covered = set().union(*(check_arm(driver, arm) for arm in contract.arms))
    assert covered == {commands.topic for commands in driver.commands}, "nothing that moves is left out"
    assert sorted((camera.topic, camera.type) for camera in contract.cameras) == sorted(driver.cameras)
    assert (contract.base is not None) == (driver.base is not None)
    if contract.base and driver.base:
        assert (contract.base.odom.topic, contract.base.command.topic) == driver.base


@pytest.mark.parametrize("robot", sorted(DRIVERS))
def test_its_fakes_swing_within_the_limits(robot: str) -> None:
    """A joint that a fake leads beyond its limits would be clipped, and teach nobody anything."""
    contract: Contract = load_contract(robot)[0]
    driver = DRIVERS[robot]()
    bodies = {body.name: body for body in driver.bodies}
    for arm in contract.arms:
        assert arm.master is not None
        body = bodies[states_at(driver, arm.master.topic).body]
        if arm.master.is_number:
            continue
        for joint, name, low, high in zip(
            arm.joints, arm.master_joints, arm.limits.lower, arm.limits.upper, strict=True
        ):
            if arm.gripper and joint == arm.gripper.joint:
                low, high = sorted(arm.gripper.master_range)
            assert low <= body.rest[name] - body.swing[name], (name, low)
            assert body.rest[name] + body.swing[name] <= high, (name, high)
