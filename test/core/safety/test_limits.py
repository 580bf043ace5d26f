"""Each limit by itself, and what the pipeline says and remembers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.core.guard.following import FollowingMonitor
from vgil_ros.core.safety import (
    BaseLimit,
    Changed,
    Command,
    EstopLimit,
    FiniteLimit,
    FollowingLimit,
    Hold,
    JointLimits,
    Pass,
    PositionLimit,
    SafetyContext,
    SafetyPipeline,
    SoftStartLimit,
    StaleLimit,
    VelocityLimit,
    WatchdogLimit,
    standard_limits,
)
from vgil_ros.core.safety.acceleration import braking_velocity

MS = 1_000_000
JOINTS = JointLimits.of([-1, -1], [1, 1], [1, 2], names=("elbow", "wrist"))
HOME = Command(np.zeros(2))
NOW = SafetyContext(tick=7, now_ns=1000 * MS, period_s=0.02, last=HOME, velocity=np.zeros(2), last_policy_ns=1000 * MS)


def test_position_clips_and_names_the_joint() -> None:
    verdict = PositionLimit(JOINTS).apply(Command(np.array([0.5, -3.0])), NOW)
    assert isinstance(verdict, Changed)
    assert verdict.joints == ("wrist",)
    assert "wrist" in verdict.reason
    np.testing.assert_array_equal(verdict.command.positions, [0.5, -1.0])


@pytest.mark.parametrize(("span", "tolerance"), [(2.0, 0.005), (0.1, 0.001), (0.0, 1e-9)])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_hair_beyond_a_limit_is_clipped_but_not_counted(span: float, tolerance: float, side: int) -> None:
    joints = JointLimits.of([-1, -span / 2], [1, span / 2], [50, 50], names=("elbow", "short"))
    safety = SafetyPipeline(joints, [PositionLimit(joints)])
    for beyond, told in ((0.9 * tolerance, ()), (1.1 * tolerance, ("short",))):
        before = safety.counts["position"]
        outcome = safety.step(Command(np.array([1.004, side * (span / 2 + beyond)])), NOW.within(measured=np.zeros(2)))
        assert outcome.command is not None
        np.testing.assert_array_equal(outcome.command.positions, [1.0, side * span / 2])
        assert tuple(joint for said in outcome.safety_events for joint in said.joints) == told
        assert safety.counts["position"] - before == len(told)


def test_velocity_is_per_joint_and_rounding_is_no_safety_event() -> None:
    limit = VelocityLimit(JOINTS)
    verdict = limit.apply(Command(np.array([0.03, 0.03])), NOW)
    assert isinstance(verdict, Changed)
    assert verdict.joints == ("elbow",)
    np.testing.assert_allclose(verdict.command.positions, [0.02, 0.03])
    assert isinstance(limit.apply(Command(np.array([0.02 + 1e-12, -0.04])), NOW), Pass)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_holds_and_names_the_joint(value: float) -> None:
    verdict = FiniteLimit(JOINTS).apply(Command(np.array([value, 0.0])), NOW)
    assert isinstance(verdict, Hold)
    assert verdict.joints == ("elbow",)


def test_base_is_clipped_and_stopped_when_not_finite() -> None:
    limit = BaseLimit(0.5, 1.0)
    assert isinstance(limit.apply(HOME, NOW), Pass)
    verdict = limit.apply(Command(np.zeros(2), np.array([-2.0, 0.3])), NOW)
    assert isinstance(verdict, Changed)
    np.testing.assert_array_equal(verdict.command.base, [-0.5, 0.3])
    verdict = limit.apply(Command(np.zeros(2), np.array([0.2, np.nan])), NOW)
    assert isinstance(verdict, Changed)
    np.testing.assert_array_equal(verdict.command.base, [0.0, 0.0])


@pytest.mark.parametrize(
    ("age_ms", "said"),
    [(100, None), (-100, None), (101, "101 ms old, allowed are 100 ms"), (-101, "101 ms in the future")],
)
def test_stale_judges_each_stream_by_age(age_ms: int, said: str | None) -> None:
    limit = StaleLimit({"cam_high": 100 * MS, "left": 50 * MS})
    context = replace(NOW, stream_ages_ns={"cam_high": age_ms * MS, "left": 0, "unasked": 10**12})
    verdict = limit.apply(HOME, context)
    if said is None:
        assert isinstance(verdict, Pass)
    else:
        assert isinstance(verdict, Hold)
        assert f"cam_high is stamped {said}" in verdict.reason or f"cam_high is {said}" in verdict.reason


def test_a_stream_that_never_came_is_stale() -> None:
    verdict = StaleLimit({"cam_high": MS, "left": MS}).apply(HOME, replace(NOW, stream_ages_ns={"left": None}))
    assert isinstance(verdict, Hold)
    assert verdict.reason == "cam_high has not come yet; left has not come yet"


@pytest.mark.parametrize(
    ("answered_ms", "said"),
    [(800, None), (1000, None), (799, "silent for 201 ms"), (1001, "in the future"), (None, "given no result yet")],
)
def test_watchdog(answered_ms: int | None, said: str | None) -> None:
    context = replace(NOW, last_policy_ns=None if answered_ms is None else answered_ms * MS)
    verdict = WatchdogLimit(200 * MS).apply(HOME, context)
    if said is None:
        assert isinstance(verdict, Pass)
    else:
        assert isinstance(verdict, Hold)
        assert said in verdict.reason


def test_estop() -> None:
    assert isinstance(EstopLimit().apply(HOME, NOW), Pass)
    assert isinstance(EstopLimit().apply(HOME, replace(NOW, estop=True)), Hold)


def test_soft_start_is_straight_and_ends_near_the_action() -> None:
    limit = SoftStartLimit(JOINTS, fraction=0.5, largest_step_s=0.1)
    verdict = limit.apply(Command(np.array([0.4, 0.2])), NOW)
    assert isinstance(verdict, Changed)
    assert verdict.joints == ("elbow",)  # 0.4 > 1 x 0.1; 0.2 is as far as the wrist may step
    np.testing.assert_allclose(verdict.command.positions, [0.01, 0.005])
    near = replace(NOW, last=Command(np.array([0.35, 0.175])))
    assert isinstance(limit.apply(Command(np.array([0.4, 0.2])), near), Pass)
    assert isinstance(limit.apply(Command(np.array([-1.0, -1.0])), near), Pass)  # following: the jump is velocity's


def streaming(**changes: Any) -> SafetyContext:
    return SafetyContext(
        **{"tick": 0, "now_ns": 0, "period_s": 0.02, "measured": np.zeros(2), "last_policy_ns": 0, **changes}
    )


def test_after_a_hold_a_far_action_is_approached_slowly_and_a_near_one_at_once() -> None:
    for away, expected in ((0.9, {"soft_start"}), (0.01, set())):
        safety = SafetyPipeline(JOINTS, standard_limits(JOINTS, {}))
        safety.step(Command(np.zeros(2)), streaming())
        assert safety.step(None, streaming()).holding
        outcome = safety.step(Command(np.full(2, away)), streaming())
        assert not outcome.holding
        assert {event.name for event in outcome.safety_events} == expected


def test_reset_begins_where_the_robot_is_and_keeps_the_counts() -> None:
    safety = SafetyPipeline(JOINTS, standard_limits(JOINTS, {}))
    safety.step(None, streaming())
    safety.reset()
    outcome = safety.step(None, streaming(measured=np.array([0.3, -0.3])))
    assert outcome.command is not None
    np.testing.assert_array_equal(outcome.command.positions, [0.3, -0.3])
    assert safety.counts == {"no_action": 2}


@pytest.mark.parametrize(
    ("measured", "said"),
    [(None, "not been heard"), ([np.nan, 0], "not finite for elbow"), ([0, 1.2], "wrist measured more than 0.1")],
)
def test_nothing_is_sent_while_it_is_not_known_where_the_robot_is(measured: list[float] | None, said: str) -> None:
    safety = SafetyPipeline(JOINTS, standard_limits(JOINTS, {}))
    where = None if measured is None else np.array(measured)
    outcome = safety.step(HOME, streaming(measured=where))
    assert outcome.command is None
    assert outcome.holding
    assert said in outcome.safety_events[0].reason
    assert safety.step(HOME, streaming()).command is not None


def test_every_reason_to_hold_is_told() -> None:
    safety = SafetyPipeline(JOINTS, standard_limits(JOINTS, {"cam": MS}))
    outcome = safety.step(None, streaming(estop=True, last_policy_ns=None))
    assert [said.name for said in outcome.safety_events] == ["no_action", "estop", "stale", "watchdog"]
    assert safety.counts["stale"] == 1


def test_a_command_is_its_own_and_read_only() -> None:
    given_positions = np.zeros(2)
    command = Command(given_positions)
    given_positions[:] = 9.0
    np.testing.assert_array_equal(command.positions, np.zeros(2))
    with pytest.raises(ValueError, match="read-only"):
        command.positions[0] = 1.0


def test_what_does_not_fit_the_robot_is_refused_by_name() -> None:
    safety = SafetyPipeline(JOINTS, standard_limits(JOINTS, {}))
    with pytest.raises(VgilError, match="found 3 positions, expected 2"):
        safety.step(Command(np.zeros(3)), streaming())
    with pytest.raises(VgilError, match="has no base"):
        safety.step(Command(np.zeros(2), np.zeros(2)), streaming())
    with pytest.raises(VgilError, match=r"base velocity of shape \(3,\)"):
        Command(np.zeros(2), np.zeros(3))
    with pytest.raises(VgilError, match="doubled names"):
        SafetyPipeline(JOINTS, [EstopLimit(), EstopLimit()])
    with pytest.raises(VgilError, match="period of 0"):
        replace(NOW, period_s=0)
    with pytest.raises(VgilError, match="linear is nan"):
        BaseLimit(float("nan"), 1.0)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"velocity": [1.0]}, r"velocity has shape \(1,\)"),
        ({"lower": [-1, 2]}, "lower of wrist is 2.0, it must not be above upper"),
        ({"upper": [1, np.inf]}, "upper of wrist is inf, it must be finite"),
        ({"velocity": [0, 1]}, "velocity of elbow is 0.0, it must be above zero"),
        ({"acceleration": [1, -1]}, "acceleration of wrist"),
    ],
)
def test_limits_that_cannot_be_are_refused_by_joint(changes: dict[str, Any], said: str) -> None:
    arrays: dict[str, Any] = {"lower": [-1, -1], "upper": [1, 1], "velocity": [1, 1], **changes}
    with pytest.raises(VgilError, match=said):
        JointLimits.of(**arrays, names=("elbow", "wrist"))


@given(distance=st.floats(0, 10), acceleration=st.floats(0.1, 100), period=st.floats(0.001, 0.1))
def test_braking_velocity_uses_up_the_distance_and_no_more(distance: float, acceleration: float, period: float) -> None:
    speed = float(braking_velocity(np.array([distance]), np.array([acceleration]), period)[0])
    count = np.arange(np.ceil(speed / (acceleration * period)) + 2)
    travelled = float(np.maximum(speed - count * acceleration * period, 0.0).sum() * period)
    assert travelled == pytest.approx(distance, rel=1e-6, abs=1e-9)


def test_a_hold_now_and_then_does_not_hide_a_joint_that_does_not_follow() -> None:
    """One held tick in 24, as of a bus that hiccups or a policy that is late."""
    monitor = FollowingMonitor(np.array([0.3, 0.3]), 1_000 * MS)
    safety = SafetyPipeline(
        JOINTS, standard_limits(JOINTS, {"arm": 200 * MS}, following=FollowingLimit(JOINTS, monitor, 1.0))
    )
    for tick in range(400):
        now = (1000 + 20 * tick) * MS
        context = SafetyContext(
            tick=tick, now_ns=now, period_s=0.02, measured=np.zeros(2), stream_ages_ns={"arm": 0}, last_policy_ns=now,
            refused={"arm": "it jumped"} if tick % 24 == 23 else {},
        )  # fmt: skip
        outcome = safety.step(Command(np.array([min(0.9, 0.02 * tick), 0.0])), context)
        if outcome.operator_needed:
            break
    assert outcome.operator_needed == (
        "elbow does not follow: commanded to 0.9, measured at 0 for 1 s; look at the robot, then start again"
    ), outcome.safety_events
    assert tick < 200
