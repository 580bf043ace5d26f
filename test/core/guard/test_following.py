"""A joint that does not come after its commands is found in time, and one that only trails, presses or grips is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contracts import small_robot

from vgil_ros.core.config import validate
from vgil_ros.core.contract import Contract
from vgil_ros.core.control.pipeline import safety_for
from vgil_ros.core.errors import ContractError
from vgil_ros.core.guard.following import FollowingMonitor, following_monitor, largest_errors
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command, Outcome, SafetyContext, SafetyPipeline

MS = 1_000_000
PERIOD = 0.04
HOME = np.array([0.0, 0.0, 0.5])


def layout_of(**changes: Any) -> Layout:
    return Layout(validate(Contract, small_robot(**{"following": {}, **changes}), "small.yaml", ContractError))


@given(lag=st.integers(0, 12), seed=st.integers(0, 2**32 - 1), press=st.floats(-0.25, 0.25))
def test_a_joint_that_trails_by_up_to_half_of_after_s_and_presses_follows(lag: int, seed: int, press: float) -> None:
    monitor = FollowingMonitor(np.array([0.3]), 1000 * MS)
    random = np.random.default_rng(seed)
    sent = np.cumsum(random.choice([-1.0, 0.0, 1.0], 40).repeat(10)) * 0.1  # 2.5 rad/s, either way
    for i, command in enumerate(sent):
        measured = sent[max(0, i - lag)] + press
        assert not monitor.update(10**18 + round(i * PERIOD * 1e9), np.array([command]), np.array([measured])).any()


@given(error=st.floats(0.31, 3), rate=st.sampled_from([25, 50, 100]))
def test_a_joint_that_stays_behind_is_found_within_after_s(error: float, rate: int) -> None:
    monitor, found = FollowingMonitor(np.array([0.3, 0.3]), 1000 * MS), []
    for i in range(2 * rate):
        off = monitor.update(10**18 + round(i / rate * 1e9), np.array([0.0, error]), np.zeros(2))
        found.append(off.tolist())
    first = found.index([False, True])
    assert 0.45 <= first / rate <= 1.0 + 2 / rate
    assert all(off == [False, True] for off in found[first:])


def test_what_is_not_watched() -> None:
    assert largest_errors(layout_of()).tolist() == [0.3, 0.3, np.inf]
    short = {**small_robot()["arms"][0], "limits": {"lower": [-2, 0, 0], "upper": [2, 0.5, 0.1], "velocity": [2, 2, 2]}}
    assert largest_errors(layout_of(arms=[short])).tolist() == [0.3, 0.1, np.inf]
    assert following_monitor(layout_of(following={"off": ["left"]})) is None
    with pytest.raises(ContractError, match=r"following.off has \['right'\]; allowed: \['left'\]"):
        layout_of(following={"off": ["right"]})


def play(safety: SafetyPipeline, wanted: np.ndarray | None, measured: np.ndarray, ticks: int, at: int) -> list[Outcome]:
    """Ticks of one command; the robot stays where it is measured."""
    outcomes = []
    for number in range(at, at + ticks):
        now = 10**18 + round(number * PERIOD * 1e9)
        context = SafetyContext(tick=number, now_ns=now, period_s=PERIOD, measured=measured, last_policy_ns=now)
        outcomes.append(safety.step(None if wanted is None else Command(wanted), context))
    return outcomes


@pytest.mark.parametrize("accelerated", [False, True])
def test_the_pipeline_holds_names_the_joint_stops_pulling_and_does_not_let_go_by_itself(accelerated: bool) -> None:
    arm = small_robot()["arms"][0]
    if accelerated:
        arm["limits"]["acceleration"] = [20.0, 20.0, 2.0]
    safety = safety_for(layout_of(arms=[arm]), {}, max_silence_ns=200 * MS)
    stuck = play(safety, np.array([1.0, 0.1, 0.5]), HOME, 130, 0)
    first = next(i for i, outcome in enumerate(stuck) if outcome.holding)
    assert 25 <= first <= 60, "1 s after the slow start has left the joint behind"
    event = stuck[first].safety_events[0]
    assert accelerated or len(stuck[first].safety_events) == 1
    assert event.name == "following"
    assert event.joints == ("left/waist",)
    assert event.reason.startswith("left/waist does not follow: commanded to 0.")
    assert event.reason.endswith("measured at 0 for 1 s; look at the robot, then start again")
    last = stuck[-1].command
    assert last is not None
    assert last.positions[0] == pytest.approx(0.0, abs=1e-6)
    assert_settles(stuck[first:])
    steps = np.diff([outcome.command.positions for outcome in stuck if outcome.command is not None], axis=0)
    assert np.abs(steps).max(axis=0)[:2].max() <= 2.0 * PERIOD + 1e-9
    after = play(safety, np.array([0.0, 0.0, 0.5]), last.positions, 50, 130)
    assert all(outcome.holding for outcome in after), "it has come back, but nobody has looked at it"
    safety.reset()
    assert not any(outcome.holding for outcome in play(safety, HOME, HOME, 50, 180))


def assert_settles(held: list[Outcome]) -> None:
    """A hold is said to settle until the command has come to where it stays, and not again after that."""
    settling = [outcome.settling for outcome in held]
    end = settling.index(False)
    assert end > 5, "it is on its way from the first tick on"
    assert not any(settling[end:])
    moved = [outcome.command.positions for outcome in (held[0], *held) if outcome.command]
    assert np.ptp(moved[end:], axis=0).max() <= 1e-9, "once it has settled nothing moves any more"


def test_a_hold_of_a_robot_that_stands_has_settled_and_one_of_a_robot_that_moves_soon_has() -> None:
    safety = safety_for(layout_of(), {}, max_silence_ns=200 * MS)
    assert not any(outcome.settling for outcome in play(safety, HOME + np.array([0.5, 0.0, 0.0]), HOME, 10, 0)), (
        "it does not hold"
    )
    held = play(safety, None, HOME, 5, 10)
    assert [outcome.settling for outcome in held] == [True, False, False, False, False]


def test_a_hold_for_another_reason_is_no_time_not_to_follow_in() -> None:
    """An arm that is switched off under the e-stop falls; that it does not follow is not what holds it."""
    safety = safety_for(layout_of(), {}, max_silence_ns=200 * MS)
    play(safety, HOME, HOME, 10, 0)
    held = play(safety, None, HOME - [1.0, 0.5, 0.0], 200, 10)
    assert {event.name for outcome in held for event in outcome.safety_events} == {"no_action"}
    after = play(safety, HOME, HOME - [1.0, 0.5, 0.0], 30, 210)
    assert after[-1].safety_events[0].name == "following", "but it must not be taken for where it was, either"
