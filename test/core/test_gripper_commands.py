"""A gripper commanded apart from its arm, and a hand as an arm of one joint: what the contract says and refuses."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contracts import ARM, small_robot

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.streams import actions_of, commands_of, topics_of

APART = {"topic": "/hand/gripper_action", "type": "gripper_command", "range": [0.0, 0.08], "max_effort": 40.0}
RANGES = {"joint": "finger", "puppet_range": [0, 0.04], "master_range": [0, 1]}
HAND = {
    "name": "hand",
    "puppet": {"topic": "/hand/joint_states"},
    "command": {"topic": "/hand/width", "type": "float32"},
    "joints": ["finger"],
    "limits": {"lower": [0.0], "upper": [0.04], "velocity": [0.1]},
    "home": [0.04],
}


def arm(apart: dict[str, Any] | None = None, **keys: Any) -> dict[str, Any]:
    made = copy.deepcopy(ARM) | keys
    if apart is not None:
        made["gripper"] = {**ARM["gripper"], "command": apart}
    return made


def parsed(*arms: dict[str, Any]) -> Contract:
    return validate(Contract, small_robot(arms=list(arms)), "hand.yaml", ContractError)


def test_the_arm_keeps_the_other_joints() -> None:
    (made,) = parsed(arm(APART)).arms
    assert made.own_joints == ("waist", "elbow")
    contract = parsed(arm(APART), HAND)
    assert commands_of(contract) == (
        ("left/command", "/puppet/command"),
        ("left/gripper_command", "/hand/gripper_action"),
        ("hand/command", "/hand/width"),
    )
    assert actions_of(contract) == {"/hand/gripper_action"}
    assert "/hand/gripper_action" in topics_of(contract)


@pytest.mark.parametrize(
    ("arms", "words"),
    [
        ([arm({**APART, "type": "float64_multi_array"})], "gripper.command.type: found 'float64_multi_array'"),
        ([arm({**APART, "type": "float32"})], "max_effort is 40.0 and type 'float32'; allowed: with gripper_command"),
        ([arm({**APART, "range": [1, 1]})], "range: closed and open are both 1.0"),
        ([arm({**APART, "joint": "f"})], "joint is 'f' and type 'gripper_command', which names none"),
        ([arm({**APART, "topic": "/puppet/command"})], "gripper.command.topic is '/puppet/command', which"),
        ([arm(APART, command={"topic": "/x/c", "type": "interbotix_group"})], "which commands the gripper apart"),
        (
            [{**copy.deepcopy(ARM), "command": {"topic": "/c", "type": "float64"}}],
            "commands one joint; allowed: one, not",
        ),
        ([{**HAND, "command": {"topic": "/c", "type": "joint_state", "max_effort": 1}}], "max_effort is 1"),
        (
            [
                {
                    **HAND,
                    "gripper": {"joint": "finger", "puppet_range": [0, 0.04], "master_range": [0, 1], "command": APART},
                }
            ],
            "gripper.command takes the arm's only joint",
        ),
    ],
)
def test_contradictions_are_refused_in_words(arms: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ContractError) as error:
        parsed(*arms)
    assert words in str(error.value)


@pytest.mark.parametrize("kind", ["float32", "float64", "joint_state", "gripper_command", "parallel_gripper_command"])
@given(data=st.data())
def test_what_is_encoded_is_what_a_driver_reads_back(kind: str, data: st.DataObject) -> None:
    pytest.importorskip("rclpy")
    pytest.importorskip("control_msgs")
    from vgil_ros.core.layout import Layout
    from vgil_ros.nodes.messages.command_encoders import make_encoder
    from vgil_ros.nodes.simulator.command_decoders import inputs_of

    ends = data.draw(st.tuples(st.floats(-2, 2), st.floats(-2, 2)).filter(lambda e: abs(e[0] - e[1]) > 0.01))
    command = {"topic": "/hand/command", "type": kind, "range": list(ends)}
    contract = parsed(arm(command, command={"topic": "/c", "type": "float64_multi_array"}))
    (made,) = contract.arms
    wanted = np.array(
        [data.draw(st.floats(low, high)) for low, high in zip(made.limits.lower, made.limits.upper, strict=True)]
    )
    encode, places = make_encoder(Named(), Layout(contract).arms[0], 0.02)  # type: ignore[arg-type]
    held = np.zeros(3)
    messages = encode(wanted)
    assert [place for place, _ in messages] == places
    for (place, message), given_input in zip(messages, inputs_of(made), strict=True):
        assert place.name == given_input.topic
        held = given_input.decode(as_received(place, message, given_input.type), held)
    assert np.allclose(held, wanted, atol=1e-6)


class Named:
    """What an encoder needs of a node that does not send."""

    def resolve_topic_name(self, topic: str) -> str:
        return topic

    def now_ns(self) -> int:
        return 1


def as_received(place: Any, message: Any, kind: Any) -> Any:
    from rclpy.serialization import deserialize_message

    if hasattr(place, "_goal"):
        return place._goal(message)
    return deserialize_message(message, kind) if isinstance(message, bytes) else message
