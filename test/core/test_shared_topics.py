"""Arms that share a topic of joint states: each reads its own joints, by the names that the drivers give them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contracts import ARM, small_robot
from support.contracts import arm_on_shared_topics as arm

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.layout import POSITION, master_reader, puppet_reader
from vgil_ros.core.streams import shared_topics


def parsed(*arms: dict[str, Any], **changes: Any) -> Contract:
    return validate(Contract, small_robot(arms=list(arms), **changes), "two.yaml", ContractError)


def refusal(*arms: dict[str, Any]) -> str:
    with pytest.raises(ContractError) as error:
        parsed(*arms)
    return str(error.value)


def test_two_arms_on_one_topic_are_two_streams() -> None:
    contract = parsed(arm("left"), arm("right"))
    assert shared_topics(contract) == {"/joint_states", "/masters/joint_states"}
    assert contract.arms[1].command_joints == ("right_waist", "right_elbow", "right_grip")


@given(data=st.data())
def test_whatever_stands_in_a_message_each_arm_reads_its_own(data: st.DataObject) -> None:
    contract = parsed(arm("left"), arm("right"))
    values = {name: data.draw(st.floats(-1, 1)) for a in contract.arms for name in a.puppet_joints + a.master_joints}
    names = data.draw(st.permutations([*values, "somebody_else"]))
    numbers = [values.get(name, 9.0) for name in names]
    for each in contract.arms:
        for reader, own in ((puppet_reader(each), each.puppet_joints), (master_reader(each), each.master_joints)):
            assert reader.concerns(names)
            assert reader.read(names, numbers)[POSITION].tolist() == [values[name] for name in own]


@given(strangers=st.lists(st.text(max_size=5), unique=True))
def test_a_message_without_an_arms_joints_is_not_its_own(strangers: list[str]) -> None:
    reader = puppet_reader(parsed(arm("left")).arms[0])
    assert not reader.concerns(strangers)
    assert reader.concerns([*strangers, "left_elbow"])


def test_a_gripper_is_measured_by_the_drivers_name_of_its_finger() -> None:
    feedback = {"joint": "left_finger", "range": [0.0, 0.04]}
    made = arm("left", gripper={**ARM["gripper"], "feedback": feedback})
    reader = puppet_reader(parsed(made).arms[0])
    found = reader.read(["left_finger", "left_grip", "left_elbow", "left_waist"], [1, 2, 3, 4], effort=[5, 6, 7, 8])
    assert found[POSITION].tolist() == [4, 3, 1]
    assert found[2].tolist() == [8, 7, 6]  # the effort is the motor's


def test_joints_of_one_name_on_one_topic_are_refused_by_both_keys() -> None:
    right = arm("right")
    del right["puppet"]["joints"]
    left = arm("left")
    del left["puppet"]["joints"]
    words = refusal(left, right)
    assert "arms[1].puppet reads the joints ['waist', 'elbow', 'grip'] on '/joint_states'" in words
    assert "which arms[0].puppet reads there too; allowed: names of their own" in words
    own = arm("left")
    own["master"] = dict(own["puppet"])
    assert "arms[0].master reads the joints" in refusal(own)


def test_a_finger_of_another_arm_is_refused_too() -> None:
    finger = {"joint": "left_grip", "range": [0.0, 0.04]}
    words = refusal(arm("left"), arm("right", gripper={**ARM["gripper"], "feedback": finger}))
    assert "arms[1].puppet reads the joints ['left_grip'] on '/joint_states'" in words


NUMBER = {"topic": "/hand", "type": "float64", "stamp": "arrival"}


def hand(name: str, puppet: dict[str, Any], master: dict[str, Any]) -> dict[str, Any]:
    """An arm of one joint whose states may come as a number."""
    made = arm(name) | {"joints": ["finger"], "puppet": puppet, "master": master}
    made["gripper"] = {**ARM["gripper"], "joint": "finger"}
    made["home"] = [0.0]
    made["limits"] = {key: values[:1] for key, values in ARM["limits"].items()}
    return made


def test_a_number_has_no_name_and_shares_its_topic_with_nobody() -> None:
    states = {"topic": "/hand", "joints": ["other_finger"]}
    own = {"topic": "/glove", "type": "float32", "stamp": "arrival"}
    assert parsed(hand("left", NUMBER, own))
    assert "arms[0].master.topic is '/hand', which arms[0].puppet.topic is too" in refusal(hand("left", NUMBER, NUMBER))
    for both in ((NUMBER, states), (states, NUMBER)):
        assert "arms[0].master.topic is '/hand', which arms[0].puppet.topic is too" in refusal(hand("left", *both))
    vector = {"name": "width", "topic": "/hand", "type": "joint_state", "joints": ["finger"]}
    with pytest.raises(ContractError, match=r"vectors\[0\].topic is '/hand', which arms\[0\].puppet.topic is too"):
        parsed(hand("left", NUMBER, own), vectors=[vector])


@pytest.mark.parametrize("joints", [["a", "b"], ["a", "a", "b"], []])
def test_names_are_as_many_as_joints_and_differ(joints: list[str]) -> None:
    made = arm("left")
    made["puppet"]["joints"] = joints
    assert "joints" in refusal(made)


def test_a_shared_command_topic_stays_an_error() -> None:
    right = arm("right", command={"topic": "/left/command", "type": "joint_state"})
    words = refusal(arm("left"), right)
    assert "arms[1].command.topic is '/left/command', which arms[0].command.topic is too" in words
    on_states = arm("left", command={"topic": "/joint_states", "type": "joint_state"})
    assert "arms[0].command.topic is '/joint_states', which arms[0].puppet.topic is too" in refusal(on_states)
    follows = {"topic": "/masters/joint_states", "type": "joint_state"}
    assert parsed(arm("left", command=follows)).arms[0].command_joints == parsed(arm("left")).arms[0].master_joints
    assert "arms[1].command.topic is '/masters/joint_states'" in refusal(
        arm("left", command=follows), arm("right", command=follows)
    )


def test_commands_are_in_the_drivers_names() -> None:
    pytest.importorskip("rclpy")
    from vgil_ros.nodes.simulator.command_decoders import inputs_of

    contract = parsed(arm("left"))
    (given_input,) = inputs_of(contract.arms[0])
    from sensor_msgs.msg import JointState

    message = JointState(name=["left_grip", "left_elbow", "left_waist"], position=[0.05, 0.2, 0.1])
    assert given_input.decode(message, np.zeros(3)).tolist() == [0.1, 0.2, 0.05]
