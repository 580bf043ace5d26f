"""The arm that a driver on a bus is for, its port and its calibration; and what is said where these are not clear."""

from __future__ import annotations

import pytest

from vgil_ros.assets import load_contract
from vgil_ros.core.contract.bus import ROLES
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
