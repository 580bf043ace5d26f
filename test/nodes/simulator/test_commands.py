"""What the simulated puppets make of command messages, without DDS."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from trajectory_msgs.msg import JointTrajectory

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm, CommandTopic
from vgil_ros.core.errors import VgilError
from vgil_ros.nodes.simulator.command_decoders import inputs_of

HELD = np.arange(7.0)


def arm(kind: str) -> Arm:
    command = CommandTopic(topic="/puppet/commands/joint_group", type=kind)
    return load_contract("sim_single")[0].arms[0].model_copy(update={"command": command})


def test_a_trajectory_of_several_points_is_refused() -> None:
    (only,) = inputs_of(arm("joint_trajectory"))
    with pytest.raises(VgilError, match="trajectory has 0 points; allowed: 1"):
        only.decode(JointTrajectory(), HELD)


def test_interbotix_is_refused_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "interbotix_xs_msgs", None)
    with pytest.raises(VgilError, match=r"needs the package interbotix_xs_msgs.*allowed without it: joint_state"):
        inputs_of(arm("interbotix_group"))


def test_interbotix_takes_the_arm_and_the_gripper_from_two_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = ModuleType("interbotix_xs_msgs.msg")
    messages.JointGroupCommand = messages.JointSingleCommand = SimpleNamespace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "interbotix_xs_msgs", ModuleType("interbotix_xs_msgs"))
    monkeypatch.setitem(sys.modules, "interbotix_xs_msgs.msg", messages)
    group, single = inputs_of(arm("interbotix_group"))
    assert (group.topic, single.topic) == ("/puppet/commands/joint_group", "/puppet/commands/joint_single")
    np.testing.assert_array_equal(group.decode(SimpleNamespace(cmd=[9.0] * 6), HELD), [9.0] * 6 + [6.0])
    found = single.decode(SimpleNamespace(name="gripper", cmd=0.5), HELD)
    np.testing.assert_array_equal(found, [0, 1, 2, 3, 4, 5, 0.5])
    with pytest.raises(VgilError, match="5 values of position for 6 joint names"):
        group.decode(SimpleNamespace(cmd=[9.0] * 5), HELD)
    with pytest.raises(VgilError, match=r"joint 'knee'; allowed: \['waist'"):
        single.decode(SimpleNamespace(name="knee", cmd=0.5), HELD)
    with pytest.raises(VgilError, match=r"position of \['gripper'\] is not a finite number"):
        single.decode(SimpleNamespace(name="gripper", cmd=float("nan")), HELD)
