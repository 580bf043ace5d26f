"""The arm that a driver on a bus is for, its port and its calibration; and what is said where these are not clear."""

from __future__ import annotations

from typing import Any

import pytest

from vgil_ros.assets import load_contract, robot_names
from vgil_ros.core.contract import Arm
from vgil_ros.core.contract.arm import GripperFeedback
from vgil_ros.core.contract.bus import ROLES, check_served
from vgil_ros.core.contract.commands import GripperCommand
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.drivers import DriverNode, driven_arm, driver_nodes, port_and_file

SO101, _ = load_contract("so101")
ARM = SO101.arms[0]
NO_BUS, _ = load_contract("aloha")


def test_one_driver_for_each_port() -> None:
    assert driver_nodes(SO101) == [DriverNode(f"feetech_{role}", ARM.name, role) for role in ROLES]
    second = ARM.model_copy(update={"name": "second"})
    both = SO101.model_copy(update={"arms": (ARM, second)})
    assert [node.name for node in driver_nodes(both)][2:] == ["feetech_second_follower", "feetech_second_leader"]


def test_the_arm_is_the_named_one_or_the_first_with_a_bus() -> None:
    bare = ARM.model_copy(update={"name": "bare", "bus": None})
    robot = SO101.model_copy(update={"arms": (bare, ARM)})
    assert driven_arm(robot, "") is ARM
    assert driven_arm(robot, "bare") is bare
    assert driven_arm(NO_BUS, "") is NO_BUS.arms[0]
    with pytest.raises(VgilError, match=r"arm 'x' is none of robot 'so101'; allowed: \['bare', 'arm'\]"):
        driven_arm(robot, "x")


def test_port_and_file_are_what_was_given_or_the_contracts() -> None:
    bus = ARM.bus
    assert bus is not None
    assert port_and_file(SO101, ARM, "puppet") == (bus.puppet, bus.puppet_calibration)
    assert port_and_file(SO101, ARM, "master", port="/dev/x") == ("/dev/x", bus.master_calibration)
    left = NO_BUS.arms[0]
    with pytest.raises(VgilError, match=r"robot 'aloha', arm 'left': no bus.puppet in the contract; give it, or x"):
        port_and_file(NO_BUS, left, "puppet", otherwise=", or x")
    with pytest.raises(VgilError, match=r"no bus.master_calibration in the contract; give it"):
        port_and_file(NO_BUS, left, "master", port="/dev/x")
    assert port_and_file(NO_BUS, left, "master", port="/dev/x", file="a.json") == ("/dev/x", "a.json")


def with_gripper(**changes: Any) -> Arm:
    assert ARM.gripper is not None
    return ARM.model_copy(update={"gripper": ARM.gripper.model_copy(update=changes)})


def with_names(side: str, *names: str) -> Arm:
    return ARM.model_copy(update={side: getattr(ARM, side).model_copy(update={"joints": names})})


def serve(arm: Arm) -> None:
    check_served(arm.bus, arm.joints, {"puppet": arm.puppet_joints, "master": arm.master_joints}, arm.gripper)


OTHERS = tuple(f"l_{joint}" for joint in ARM.joints)
TURNED = tuple(reversed(ARM.joints))
FEEDBACK = GripperFeedback(joint="finger", range=(0.0, 1.0))
COMMAND = GripperCommand.model_validate({"topic": "/grip", "type": "float64"})
UNSERVED: list[tuple[str, Arm, str]] = [
    (
        "puppet",
        with_gripper(puppet_range=(1.7, -0.1)),
        r"gripper.puppet_range is \[1.7, -0.1\] and .*smaller value first",
    ),
    ("master", with_gripper(master_range=(1.7, -0.1)), r"gripper.master_range is \[1.7, -0.1\] and bus.master is"),
    ("puppet", with_names("puppet", *OTHERS), r"puppet.joints is \['l_shoulder_pan', .*allowed: \['shoulder_pan'"),
    ("puppet", with_names("puppet", *TURNED), r"puppet.joints is \['gripper', .*allowed: \['shoulder_pan'"),
    ("master", with_names("master", *OTHERS), r"master.joints is .* and bus.master is given.*or no master.joints"),
    ("puppet", with_gripper(command=COMMAND), r"gripper.command and bus.puppet is given.*allowed: one of them"),
    ("puppet", with_gripper(feedback=FEEDBACK), r"gripper.feedback and bus.puppet is given.*allowed: one of them"),
]


@pytest.mark.parametrize(("side", "arm", "words"), UNSERVED, ids=range(len(UNSERVED)))
def test_what_a_bus_driver_cannot_serve_is_refused_on_its_side_alone(side: str, arm: Arm, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        serve(arm)
    assert ARM.bus is not None
    serve(arm.model_copy(update={"bus": ARM.bus.model_copy(update={side: None})}))


def test_a_bus_driver_serves_the_arms_own_names_and_the_shipped_robots() -> None:
    serve(with_names("puppet", *ARM.joints))
    for name in robot_names():
        for arm in load_contract(name)[0].arms:
            serve(arm)
