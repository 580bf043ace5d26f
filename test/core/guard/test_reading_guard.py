"""Laws of the reading guard: nothing real is refused, and no lie that hardware was seen to tell is believed."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.contracts import ARM, small_robot

from vgil_ros.assets import load_contract
from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import ContractError
from vgil_ros.core.guard.predicates import beyond_range, lost_servos, reach
from vgil_ros.core.guard.ranges import master_ranges, puppet_ranges, qpos_ranges
from vgil_ros.core.guard.reading_guard import ReadingGuard, guards_of
from vgil_ros.core.guard.settings import Guard
from vgil_ros.core.layout import Layout

MS = 1_000_000
START = 10**18
SHIPPED = ("aloha", "cobot_magic", "mobile_aloha", "sim_aloha", "sim_single", "vgil_franka")
ALOHA_SLEEP = [0.0, -2.05, 1.70, 0.0, -2.0, 0.0, 0.0440]


def contract_of(**changes: Any) -> Contract:
    """The small robot's contract."""
    return validate(Contract, small_robot(**changes), "small.yaml", ContractError)


def small(**changes: Any) -> ReadingGuard:
    """The guard of the small robot's puppet."""
    return guards_of(contract_of(guard=changes))["left/puppet"]


def feed(guard: ReadingGuard, rows: list[list[float]], period_ms: float = 10, start_ms: float = 0) -> list[str | None]:
    """Messages at an even pace; what was said of each."""
    stamps = [START + round((start_ms + i * period_ms) * MS) for i in range(len(rows))]
    return [guard.judge(t, t + MS, np.array(row)) for t, row in zip(stamps, rows, strict=True)]


@pytest.mark.parametrize("robot", SHIPPED)
@pytest.mark.parametrize("master", [False, True])
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_no_motion_within_the_limits_is_refused(robot: str, master: bool, data: st.DataObject) -> None:
    """However the stamps jitter, and however many messages are lost, late or come in bunches."""
    contract, _ = load_contract(robot)
    arm = contract.arms[0]
    ranges = (master_ranges if master else puppet_ranges)(arm, contract.guard)
    guard = ReadingGuard(ranges, contract.guard.settle_s)
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    rate = data.draw(st.sampled_from([15.0, 30.0, 50.0, 100.0, 200.0, 1000.0]))
    jitter_ms, lost, late_ms = (data.draw(st.floats(0, most)) for most in (8.0, 0.9, 200.0))
    speed = data.draw(st.floats(0, 1)) * (2.0 if master else 1.0)  # a person is faster than the puppet's motors
    at = random.uniform(ranges.lower, ranges.upper)
    velocity, arrived = np.zeros(len(at)), 0
    for i in range(120):
        if random.random() < 0.1:  # as suddenly as one likes, to full speed either way
            velocity = random.choice([-1.0, 0.0, 1.0], len(at)) * speed * np.minimum(np.array(arm.limits.velocity), 1e3)
        at = np.clip(at + velocity / rate, ranges.lower, ranges.upper)
        at[~ranges.arm] = random.uniform(ranges.lower, ranges.upper)[~ranges.arm]  # a trigger is let go
        if random.random() < lost:
            continue
        taken = START + round(i / rate * 1e9)
        arrived = max(arrived, taken + round(random.uniform(0, late_ms) * MS))
        assert guard.judge(taken + round(random.uniform(-1, 1) * jitter_ms * MS), arrived, at) is None


@given(lag_s=st.floats(0.3, 100))
def test_a_robot_that_was_moved_while_it_was_silent_is_believed_at_once(lag_s: float) -> None:
    guard = small()
    assert feed(guard, [[0.0, 0.0, 0.05]]) == [None]
    assert feed(guard, [[1.9, -0.9, 0.1]], start_ms=1e3 * lag_s) == [None]


def test_alohas_cradle_and_its_leaders_own_reach_are_readings() -> None:
    """Interbotix' sleep pose lies beyond the puppets' limits, and WidowX leaders reach farther than ViperX puppets."""
    guards = guards_of(load_contract("aloha")[0])
    assert feed(guards["left/puppet"], [ALOHA_SLEEP]) == [None]
    assert feed(guards["left/puppet"], [[*ALOHA_SLEEP[:6], finger] for finger in (0.0285, 0.0624)]) == [None, None]
    for leader in ([3.14, 1.98, 1.60, 3.14, 2.14, 3.14, 0.9], [-3.14, -1.88, -2.14, -3.14, -1.74, -3.14, -0.7]):
        assert feed(guards_of(load_contract("aloha")[0])["right/master"], [leader]) == [None]


@pytest.mark.parametrize("stream", ["left/master", "left/puppet"])
@pytest.mark.parametrize("robot", ["aloha", "mobile_aloha", "sim_aloha", "cobot_magic", "vgil_franka"])
def test_a_driver_that_has_lost_its_servos_is_named_in_its_first_message(robot: str, stream: str) -> None:
    contract, _ = load_contract(robot)
    arm = contract.arms[0]
    guard = guards_of(contract)[stream.replace("left", arm.name)]
    gone = [-3.14159] * len(arm.joints)
    if arm.gripper and arm.gripper.feedback and stream.endswith("puppet"):
        gone[arm.joints.index(arm.gripper.joint)] = arm.gripper.feedback.range[0]
    said = feed(guard, [list(arm.home), gone])
    assert said[1] == "every joint reads -3.1416: the driver has lost its servos"


def test_while_the_cable_is_out_nothing_is_believed_and_at_once_when_it_is_back() -> None:
    guard, pose = guards_of(load_contract("aloha")[0])["left/master"], [0, -0.96, 1.16, 0, -0.3, 0, 0.4]
    assert feed(guard, [pose] * 10) == [None] * 10
    assert None not in feed(guard, [[-3.14159] * 7] * 100, period_ms=36, start_ms=100)
    assert feed(guard, [[0.0, -1.88, 1.5, 0.0, 0.8, 0.0, 0.1]], start_ms=3800) == [None]  # it has dropped meanwhile


def test_a_lost_packet_costs_one_reading() -> None:
    said = feed(small(), [[0.1, 0.1, 0.05], [-np.pi, -np.pi, 0.05], [0.11, 0.1, 0.05]])
    assert [words is None for words in said] == [True, False, True]


def test_degrees_are_named_as_such() -> None:
    arm = copy.deepcopy(ARM) | {"joints": ["j1", "j2", "grip"]}
    guard = guards_of(contract_of(arms=[arm]))["left/puppet"]
    assert feed(guard, [[10.0, -49.0, 0.05]]) == [
        "j1 reads 10, its limits are -2 to 2: degrees?; j2 reads -49, its limits are -1 to 1: degrees?"
    ]
    assert feed(guard, [[0.0, -400.0, 0.05]]) == ["j2 reads -400, its limits are -1 to 1"]


def test_degrees_small_enough_to_be_angles_are_found_when_the_arm_moves() -> None:
    """1 rad/s from a pose near zero: the steps are 57 times as large."""
    degrees = np.degrees(np.arange(12) * 0.01 * 1.0)
    said = feed(small(), [[value, 0.0, 0.05] for value in degrees])
    assert any(words is not None for words in said)


@pytest.mark.parametrize("jump", [0.35, 1.2, -1.9])
def test_a_jump_is_no_reading_and_the_way_back_is_one(jump: float) -> None:
    said = feed(small(), [[0.0, 0.0, 0.05], *[[jump, 0.0, 0.05]] * 20, [0.0, 0.0, 0.05]])
    assert said[0] is None
    assert None not in said[1:21]
    assert "waist jumped by" in str(said[1])
    assert "its velocity limit is 2 a second" in str(said[1])
    assert said[21] is None


def test_readings_after_a_jump_are_believed_once_they_have_agreed_for_long_enough() -> None:
    moving = [[1.5 - 0.005 * i, 0.0, 0.05] for i in range(60)]
    said = feed(small(settle_s=0.4), [[0.0, 0.0, 0.05], *moving])
    believed = [words is None for words in said[1:]]
    assert believed == [False] * 40 + [True] * 20


def test_where_a_scene_was_reset_the_robot_is_somewhere_else_at_once() -> None:
    guard = small()
    assert feed(guard, [[0.0, 0.0, 0.05]]) == [None]
    assert feed(guard, [[1.5, 0.0, 0.05]], start_ms=10)[0] is not None
    guard.reset(START + 20 * MS)
    rows = [[0.0, 0.0, 0.05], [1.5, 0.0, 0.05], [1.5, 0.0, 0.05], [0.0, 0.0, 0.05]]  # the first was on its way
    assert [words is None for words in feed(guard, rows, period_ms=70, start_ms=20)] == [True, True, True, False]


def test_a_clock_that_is_set_back_after_a_reset_does_not_have_everything_believed() -> None:
    guard = small()
    guard.reset(START)
    assert feed(guard, [[0.0, 0.0, 0.05]]) == [None]
    assert feed(guard, [[0.0, 0.0, 0.05]], start_ms=-60_000) == [None]
    assert feed(guard, [[1.5, 0.0, 0.05]], start_ms=-59_990)[0] is not None


def test_readings_that_do_not_agree_are_never_believed() -> None:
    wild = [[1.5, 0.0, 0.05], [-1.5, 0.0, 0.05]] * 100
    assert None not in feed(small(), [[0.0, 0.0, 0.05], *wild])[1:]


def test_what_was_queued_while_a_node_slept_does_not_pass_for_time_that_it_has_held() -> None:
    guard = small()
    assert feed(guard, [[0.0, 0.0, 0.05]]) == [None]
    woke = START + 2000 * MS
    for i in range(150):  # 1.5 s of stamps, all at once
        assert guard.judge(START + (10 + 10 * i) * MS, START + 11 * MS, np.array([1.5, 0.0, 0.05])) is not None
    assert guard.judge(woke, woke, np.array([1.5, 0.0, 0.05])) is None


def test_a_gripper_may_jump_but_not_leave_its_range_by_far() -> None:
    said = feed(small(), [[0.0, 0.0, 0.0], [0.0, 0.0, 0.1], [0.0, 0.0, 43.0]])
    assert said[:2] == [None, None]
    assert "grip reads 43" in str(said[2])


def test_a_stream_that_is_off_is_not_guarded_and_one_that_is_unknown_is_refused() -> None:
    assert set(guards_of(contract_of(guard={"off": ["left/master"]}))) == {"left/puppet"}
    with pytest.raises(ContractError, match=r"guard.off has \['right/master'\]; allowed: \['left/puppet', 'left/ma"):
        contract_of(guard={"off": ["right/master"]})
    with pytest.raises(ContractError, match=r"guard.settle_s"):
        contract_of(guard={"settle_s": 0.1})


def test_a_values_that_is_no_number_is_not_the_guards_to_judge() -> None:
    assert feed(small(), [[0.0, np.nan, 0.05], [0.0, 0.5, 0.05], [np.nan, np.nan, np.nan]]) == [None, None, None]


def test_the_columns_of_a_file_are_judged_by_the_same_rules() -> None:
    layout = Layout(load_contract("aloha")[0])
    ranges = qpos_ranges(layout)
    assert ranges.names == layout.joint_names
    assert (ranges.lower[6], ranges.upper[6]) == pytest.approx((0.0, 1.0))
    rows = np.tile(layout.home, (5, 1))
    rows[2, :7] = -np.pi
    wrong = beyond_range(rows, ranges.lower, ranges.upper, ranges.margin)
    assert wrong.any(axis=1).tolist() == [False, False, True, False, False]
    steps = np.abs(np.diff(rows, axis=0)) > reach(0.02, ranges.velocity, ranges.speed)
    assert steps.any(axis=1).tolist() == [False, True, True, False]
    assert lost_servos(rows[:, :6]).tolist() == [False, False, True, False, False]


def test_a_range_that_runs_backwards_is_a_range() -> None:
    arm = copy.deepcopy(ARM)
    arm["gripper"] |= {"puppet_range": [0.1, 0.02], "master_range": [0.5, 0.0]}
    layout = Layout(contract_of(arms=[arm]))
    ranges = qpos_ranges(layout)
    assert (ranges.lower < ranges.upper).all()
    assert (ranges.margin > 0).all()
    assert master_ranges(layout.arms[0].arm, Guard()).lower[2] == 0.0
