"""Bytes filled in are those of rclpy's own serialisation, for every type of command that is sent as bytes."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

rclpy = pytest.importorskip("rclpy")
from rclpy.serialization import deserialize_message, serialize_message  # noqa: E402
from sensor_msgs.msg import JointState  # noqa: E402
from std_msgs.msg import Float64MultiArray, String  # noqa: E402

from vgil_ros.core.errors import VgilError  # noqa: E402
from vgil_ros.nodes.messages import command_encoders as commands  # noqa: E402
from vgil_ros.nodes.messages.joint_states import joint_state  # noqa: E402
from vgil_ros.nodes.messages.template import Template  # noqa: E402

NAMES = ["waist", "shoulder", "a", "gripper_of_odd_length"]


def array(values: list[float], stamp_ns: int) -> Float64MultiArray:
    return Float64MultiArray(data=values)


MAKERS: dict[str, tuple[Any, int]] = {
    "joint_state": (partial(joint_state, NAMES), len(NAMES)),
    "joint_state with velocities and efforts": (partial(joint_state, NAMES), 3 * len(NAMES)),
    "joint_trajectory": (partial(commands._trajectory, NAMES, 0.02), len(NAMES)),
    "float64_multi_array": (array, 3),
    "twist": (commands.twist, 2),
}
TEMPLATES = {name: Template(*given) for name, given in MAKERS.items()}
NUMBERS = st.floats(allow_nan=False)


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=30)
@given(st.data(), st.integers(0, 2**31 * 10**9 - 1))
def test_the_bytes_are_those_of_the_message(name: str, data: st.DataObject, stamp_ns: int) -> None:
    make, count = MAKERS[name]
    values = data.draw(st.lists(NUMBERS, min_size=count, max_size=count))
    filled, message = TEMPLATES[name].filled(values, stamp_ns), make(values, stamp_ns)
    usual = serialize_message(message)
    assert len(filled) == len(usual), "the same layout; the bytes between the fields may hold anything"
    assert deserialize_message(filled, type(message)) == message


def test_what_was_filled_in_before_leaves_no_trace() -> None:
    template = TEMPLATES["joint_state"]
    first = template.filled([1.0] * 4, 5)
    template.filled([math.pi] * 4, 7_000_000_009)
    assert template.filled([1.0] * 4, 5) == first, "bytes that were given out are the receiver's own"
    read = deserialize_message(first, JointState)
    assert list(read.name) == NAMES
    assert list(read.position) == [1.0] * 4
    assert (read.header.stamp.sec, read.header.stamp.nanosec) == (0, 5)


@pytest.mark.parametrize("count", [3, 5])
def test_another_number_of_numbers_is_refused(count: int) -> None:
    with pytest.raises(VgilError, match=f"found {count} numbers, expected 4"):
        TEMPLATES["joint_state"].filled([0.0] * count)


def test_a_message_that_does_not_show_its_numbers_is_refused() -> None:
    with pytest.raises(VgilError, match="0 times"):
        Template(lambda values, stamp_ns: String(data="no number here"), 1)
    with pytest.raises(VgilError, match="2 times"):
        Template(lambda values, stamp_ns: Float64MultiArray(data=values * 2), 1)
