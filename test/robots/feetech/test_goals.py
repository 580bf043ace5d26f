"""Goals, by laws: within the range, at bounded speed, still without a fresh command, slow after a hold."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.robots.feetech.goals import NEAR, RETURN_SHARE, GoalKeeper

LOWER, UPPER, VELOCITY = np.array([-1.0, 0.0]), np.array([1.0, 2.0]), np.array([3.0, 1.0])
STALE_NS, DT = 250_000_000, 0.01
TICK = round(DT * 1e9)

positions = st.tuples(st.floats(-4, 4), st.floats(-4, 4)).map(np.array)
events = st.lists(
    st.one_of(
        st.tuples(st.just("command"), positions),
        st.tuples(st.sampled_from(["hold", "nothing", "miss", "long"]), positions),
    ),
    max_size=60,
)


def keeper(begin: tuple[float, float] = (0.0, 1.0)) -> GoalKeeper:
    made = GoalKeeper(LOWER, UPPER, VELOCITY, VELOCITY * RETURN_SHARE, STALE_NS)
    made.begin(np.array(begin))
    return made


@given(events, positions)
def test_goals_stay_in_range_and_move_no_faster_than_allowed(
    found: list[tuple[str, np.ndarray]], start: np.ndarray
) -> None:
    goals, now = keeper((start[0], start[1])), 0
    before = np.clip(start, LOWER, UPPER)
    for what, position in found:
        now += TICK if what != "long" else 2 * STALE_NS
        if what == "command":
            goals.take(position, now)
        elif what == "hold":
            goals.hold()
        if what == "miss":
            continue
        after = goals.next(now, DT)
        assert after is not None
        assert ((after >= LOWER) & (after <= UPPER)).all()
        assert (np.abs(after - before) <= VELOCITY * DT + 1e-12).all()
        if what in ("hold", "long"):
            np.testing.assert_array_equal(after, before)
        before = after


@settings(max_examples=25)
@given(positions)
def test_a_command_that_stays_is_reached_and_kept(target: np.ndarray) -> None:
    goals, now = keeper(), 0
    for _ in range(700):
        now += TICK
        goals.take(target, now)
        goals.next(now, DT)
    np.testing.assert_allclose(goals.goal, np.clip(target, LOWER, UPPER), atol=1e-9)


def at(goals: GoalKeeper) -> np.ndarray:
    """Where the joints are told to be."""
    assert goals.goal is not None
    return goals.goal.copy()


def test_from_a_hold_on_it_is_slow_until_it_has_caught_up() -> None:
    goals, now, target = keeper(), 0, np.array([0.9, 1.0])
    steps = []
    for _ in range(200):
        now += TICK
        goals.take(target, now)
        before = float(at(goals)[0])
        goals.next(now, DT)
        after = float(at(goals)[0])
        steps += [after - before] if target[0] - before > NEAR else []
    assert max(steps) <= RETURN_SHARE * VELOCITY[0] * DT + 1e-12
    goals.take(np.array([-0.9, 1.0]), now)
    before = at(goals)[0]
    goals.next(now + TICK, DT)
    assert abs(at(goals)[0] - before) > RETURN_SHARE * VELOCITY[0] * DT, "caught up, at full speed again"


def test_a_stale_command_is_none_and_the_way_on_is_slow() -> None:
    goals = keeper()
    goals.take(np.array([0.5, 1.0]), 0)
    goals.next(TICK, DT)
    there = at(goals)
    assert goals.commanded
    np.testing.assert_array_equal(goals.next(STALE_NS + 2 * TICK, DT), there)
    assert not goals.commanded


def test_a_command_that_waited_for_too_long_is_taken_with_its_own_age() -> None:
    goals = keeper()
    goals.take(np.array([0.5, 1.0]), 0)
    np.testing.assert_array_equal(goals.next(STALE_NS + TICK, DT), [0.0, 1.0])
    assert not goals.commanded


def test_joints_that_are_not_named_stay_and_what_is_beyond_is_told() -> None:
    goals = keeper()
    beyond = goals.take(np.array([np.nan, 9.0]), 0)
    assert beyond.tolist() == [False, True]
    for i in range(500):
        goals.take(np.array([np.nan, 9.0]), i * TICK)
        goals.next(i * TICK, DT)
    np.testing.assert_allclose(goals.goal, [0.0, 2.0])


def test_giving_way_is_where_a_joint_is() -> None:
    goals = keeper()
    goals.give_way(np.array([True, False]), np.array([0.3, 0.3]))
    np.testing.assert_allclose(goals.goal, [0.3, 1.0])


def test_before_it_begins_there_is_no_goal() -> None:
    goals = GoalKeeper(LOWER, UPPER, VELOCITY, VELOCITY * RETURN_SHARE, STALE_NS)
    assert goals.next(0, DT) is None
    goals.take(np.array([0.5, 0.5]), 0)
    assert goals.next(TICK, DT) is None
