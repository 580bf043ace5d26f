"""Joints by name, grippers 0..1, and the numbers of a robot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vgil_ros.assets import load_contract
from vgil_ros.core.contract import Arm, Contract
from vgil_ros.core.layout import POSITION, JointError, JointReader, Layout, master_reader, puppet_reader

ARMS = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
# Interbotix' joint_states: the motors, then both fingers
NAMES = (*ARMS, "gripper", "left_finger", "right_finger")

# tonyzhaozh/aloha, aloha_scripts/constants.py: (closed, open)
MASTER_JOINT, PUPPET_JOINT, PUPPET_POSITION = (-0.6842, 0.3083), (-0.6213, 1.4910), (0.01844, 0.05800)


def robot(name: str) -> Contract:
    return load_contract(name)[0]


def first_aloha() -> Contract:
    """`aloha` with the grippers of tonyzhaozh/aloha."""
    contract = robot("aloha")
    arms = []
    for arm in contract.arms:
        raw = arm.model_dump()
        low, high = PUPPET_JOINT
        raw["gripper"] |= {"puppet_range": PUPPET_JOINT, "master_range": MASTER_JOINT}
        raw["gripper"]["feedback"]["range"] = PUPPET_POSITION
        raw["limits"] |= {"lower": (*raw["limits"]["lower"][:6], low), "upper": (*raw["limits"]["upper"][:6], high)}
        raw |= {"home": (*raw["home"][:6], high), "sleep": None}
        arms.append(Arm.model_validate(raw))
    return contract.model_copy(update={"arms": tuple(arms)})


def payload(arm: Arm, **values: Any) -> np.ndarray:
    """What a puppet's reader makes of a message with these positions; the rest is 0."""
    return puppet_reader(arm).read(NAMES, [values.get(name, 0.0) for name in NAMES])


@given(order=st.permutations(range(len(NAMES))), data=hnp.arrays(np.float64, (3, 9), elements=st.floats(-9, 9)))
def test_joints_are_matched_by_name_in_any_order(order: list[int], data: np.ndarray) -> None:
    reader = JointReader("left/puppet", (*ARMS, "gripper"))
    mixed = reader.read([NAMES[i] for i in order], *(row[order].tolist() for row in data))
    assert (mixed == data[:, :7]).all()


def test_order_may_change_between_messages() -> None:
    reader = JointReader("arm", ("a", "b"))
    for _ in range(3):
        assert reader.read(["a", "b"], [1, 2])[0].tolist() == [1, 2]
        assert reader.read(["b", "x", "a"], [2, 9, 1])[0].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("names", "position", "rest", "words"),
    [
        (["a"], [1], {}, "arm: joint ['b'] is not in the message; found ['a']"),
        (["a", "bb"], [1, 2], {}, "arm: joint ['b'] is not in the message; found ['a', 'bb']"),
        ([], [], {}, "arm: joint ['a', 'b'] is not in the message; found []"),
        (["a", "b", "a"], [1, 2, 3], {}, "arm: joint ['a'] is in the message more than once; allowed: once"),
        (["a", "b"], [1], {}, "arm: 1 values of position for 2 joint names"),
        (["a", "b"], [], {}, "arm: 0 values of position for 2 joint names"),
        (["a", "b"], [1, float("nan")], {}, "arm: position of ['b'] is not a finite number"),
        (["a", "b"], [float("inf"), float("nan")], {}, "arm: position of ['a', 'b'] is not a finite number"),
    ],
)
def test_bad_messages_are_named(names: list[str], position: list[float], rest: dict[str, Any], words: str) -> None:
    with pytest.raises(JointError) as error:
        JointReader("arm", ("a", "b")).read(names, position, **rest)
    assert str(error.value) == words


def test_nan_of_a_joint_that_is_not_ours_does_not_matter() -> None:
    assert JointReader("arm", ("a",)).read(["a", "b"], [1, float("nan")])[0].tolist() == [1]


@pytest.mark.parametrize("rest", [{"velocity": [1]}, {"effort": [1, 2, 3]}, {"velocity": [1, 2, 3], "effort": [1]}])
def test_velocity_and_effort_of_another_length_are_none(rest: dict[str, Any]) -> None:
    """Positions are good all the same."""
    read = JointReader("arm", ("b", "a")).read(["a", "b"], [1, 2], **rest)
    assert read[POSITION].tolist() == [2, 1]
    assert np.isnan(read[1:]).all()


def test_what_is_not_measured_is_nan_not_zero() -> None:
    read = JointReader("arm", ("a", "b")).read(["a", "b"], [1, 2], velocity=[3, 4])
    assert read[:2].tolist() == [[1, 2], [3, 4]]
    assert np.isnan(read[2]).all()


def test_gripper_is_measured_by_its_finger_and_its_motor_gives_the_effort() -> None:
    arm = robot("aloha").arms[0]
    read = puppet_reader(arm).read(NAMES, range(9), [10 + i for i in range(9)], [20 + i for i in range(9)])
    assert read[:, 6].tolist() == [7, 17, 26]  # left_finger, left_finger, gripper
    assert read[:, :6].tolist() == [list(range(6)), list(range(10, 16)), list(range(20, 26))]
    assert master_reader(arm).read(NAMES, range(9))[0, 6] == 6
    with pytest.raises(JointError, match=r"left/puppet: joint \['left_finger'\] is not in the message"):
        puppet_reader(arm).read(NAMES[:7], range(7))


@pytest.mark.parametrize(
    ("finger", "master", "expected"),
    [(0.01844, -0.6842, 0.0), (0.05800, 0.3083, 1.0), (0.03822, -0.18795, 0.5)],
)
def test_normalisation_is_that_of_aloha(finger: float, master: float, expected: float) -> None:
    layout = Layout(first_aloha())
    arms = layout.contract.arms
    state = layout.state([payload(arm, left_finger=finger) for arm in arms])
    assert state[0, [6, 13]] == pytest.approx([expected] * 2)
    action = layout.action([master_reader(arm).read(NAMES, [0.0] * 6 + [master, 0, 0]) for arm in arms])
    assert action[[6, 13]] == pytest.approx([expected] * 2)
    command = layout.commands(action)
    assert [c[6] for c in command] == pytest.approx(
        [PUPPET_JOINT[0] + expected * (PUPPET_JOINT[1] - PUPPET_JOINT[0])] * 2
    )


def test_finger_speed_is_normalised_as_aloha_does() -> None:
    layout = Layout(first_aloha())
    payloads = [np.vstack([np.zeros(7), np.full(7, 0.2), np.full(7, 3.0)]) for _ in range(2)]
    state = layout.state(payloads)
    assert state[1, 6] == pytest.approx(0.2 / (0.05800 - 0.01844))
    assert state[1, 5] == 0.2
    assert state[2, 6] == 3.0  # effort stays as it is


def test_cobot_magic_keeps_raw_grippers() -> None:
    layout = Layout(robot("cobot_magic"))
    raw = [np.vstack([np.arange(7.0), np.ones(7), np.ones(7)]) for _ in range(2)]
    assert layout.state(raw)[0].tolist() == [*range(7), *range(7)]
    assert layout.action(raw).tolist() == [*range(7), *range(7)]
    assert layout.home[6] == pytest.approx(3.56)
    assert layout.arms[0].gripper_column is None


@given(st.data())
@pytest.mark.parametrize("name", ["aloha", "mobile_aloha", "cobot_magic", "sim_single", "vgil_franka"])
def test_commands_restore_what_states_normalise(name: str, data: st.DataObject) -> None:
    layout = Layout(robot(name))
    action = data.draw(hnp.arrays(np.float64, layout.dim, elements=st.floats(-3, 3)))
    for arm, command in zip(layout.arms, layout.commands(action), strict=True):
        assert arm.command.normalise(command) == pytest.approx(action[arm.columns], abs=1e-9)
        assert command.shape == (len(arm.arm.joints),)


def test_names_and_columns() -> None:
    layout = Layout(robot("aloha"))
    assert layout.joint_names[0] == "left/waist"
    assert (layout.joint_names[6], layout.joint_names[13]) == ("left/gripper", "right/gripper")
    assert [arm.columns for arm in layout.arms] == [slice(0, 7), slice(7, 14)]
    assert [arm.gripper_column for arm in layout.arms] == [6, 13]
    franka = Layout(robot("vgil_franka"))
    assert (franka.joints, franka.dim, franka.joint_names[-1]) == (7, 8, "end_marker")


def test_limits_and_home_in_units_of_the_action() -> None:
    layout = Layout(robot("mobile_aloha"))
    assert layout.lower[:2] == pytest.approx([-3.14158, -1.85005])
    assert (layout.lower[6], layout.upper[6], layout.home[6]) == pytest.approx((0.0, 1.0, 1.0))
    velocity = layout.limit("velocity")
    assert velocity is not None
    assert velocity[[0, 6]] == pytest.approx([3.14159, 3.14159 / (1.4910 + 0.6213)])
    assert layout.limit("acceleration") is None
    assert Layout(robot("vgil_franka")).limit("acceleration") == pytest.approx([15, 7.5, 10, 12.5, 15, 20, 20])


def test_a_range_that_runs_backwards() -> None:
    """Some grippers open to smaller numbers: limits keep their sense, speeds stay above 0."""
    contract = first_aloha()
    raw = contract.arms[0].model_dump()
    raw["gripper"] |= {"puppet_range": PUPPET_JOINT[::-1], "feedback": None}
    layout = Layout(contract.model_copy(update={"arms": (Arm.model_validate(raw),)}))
    assert (layout.lower[6], layout.upper[6]) == pytest.approx((0.0, 1.0))
    velocity = layout.limit("velocity")
    assert velocity is not None
    assert velocity[6] > 0
    assert layout.arms[0].state.normalise(np.array([*[0.0] * 6, PUPPET_JOINT[1]]))[6] == pytest.approx(0.0)
