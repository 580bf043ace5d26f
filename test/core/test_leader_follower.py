"""Laws of following: no jump, no command on stale states, gentle first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from vgil_ros.core.leader_follower import ALIGN_SPEED, REALIGN, FollowerController, Phase

LOWER, UPPER = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 1.0, 1.0])
VELOCITY = np.array([2.0, 1.0, 4.0])
DT = 0.01
STEP_NS = 10_000_000
STALE_NS = 200_000_000

poses = st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.floats(-1, 2)).map(np.array)
steps = st.lists(st.tuples(poses, st.integers(0, 60), poses, st.integers(0, 60)), min_size=1, max_size=60)


def follower(*, wait_for_trigger: bool = False) -> FollowerController:
    return FollowerController(LOWER, UPPER, VELOCITY, gripper=2, wait_for_trigger=wait_for_trigger, stale_ns=STALE_NS)


@given(steps)
def test_targets_lie_within_limits_and_move_no_faster_than_the_velocity(rows: list) -> None:
    law, before = follower(), None
    for i, (master, master_age, puppet, puppet_age) in enumerate(rows):
        now = 10**12 + i * STEP_NS
        was = law.phase
        states = (master, now - master_age * STEP_NS), (puppet, now - puppet_age * STEP_NS)
        target = law.step(now, DT, *states)
        fresh = max(master_age, puppet_age) * STEP_NS <= STALE_NS
        assert (target is not None) == fresh
        if target is None:
            assert law.phase is Phase.WAITING
            before = None
            continue
        assert (target >= LOWER).all()
        assert (target <= UPPER).all()
        start = np.clip(puppet, LOWER, UPPER) if before is None else before
        speed = VELOCITY * (ALIGN_SPEED if was is Phase.ALIGNING else 1.0)
        assert (np.abs(target - start) <= speed * DT + 1e-9).all()
        before = target


@given(poses, poses)
def test_a_wide_gap_is_closed_gently_and_then_the_master_is_reached(master: np.ndarray, puppet: np.ndarray) -> None:
    law, now = follower(), 10**12
    goal, start = np.clip(master, LOWER, UPPER), np.clip(puppet, LOWER, UPPER)
    phases = []
    target = start
    for i in range(900):
        target = law.step(now + i * STEP_NS, DT, (master, now + i * STEP_NS), (puppet, now + i * STEP_NS))
        phases.append(law.phase)
    np.testing.assert_allclose(target, goal, atol=1e-9)
    assert law.phase is Phase.FOLLOWING
    far = np.abs(goal - start).max() > REALIGN
    assert (phases[0] is Phase.ALIGNING) == (far and not _reached_in_one(goal, start))
    assert phases == sorted(phases, key=[Phase.ALIGNING, Phase.FOLLOWING].index)


def _reached_in_one(goal: np.ndarray, start: np.ndarray) -> bool:
    step = VELOCITY * ALIGN_SPEED * DT
    return bool(np.abs(goal - start - np.clip(goal - start, -step, step)).max() < 0.05)


@given(steps)
def test_without_the_gesture_nothing_moves(rows: list) -> None:
    law = follower(wait_for_trigger=True)
    for i, (master, _, puppet, _) in enumerate(rows):
        now = 10**12 + i * STEP_NS
        held_open = np.array([*master[:2], 0.9])
        assert law.step(now, DT, (held_open, now), (puppet, now)) is None
        assert law.phase is Phase.READY


def test_the_gesture_starts_the_alignment_once_and_a_pause_needs_no_second_one() -> None:
    law, puppet = follower(wait_for_trigger=True), np.array([1.0, 0.0, 1.0])

    def step(i: int, gripper: float, age_ns: int = 0) -> np.ndarray | None:
        now = 10**12 + i * STEP_NS
        return law.step(now, DT, (np.array([0.0, 0.0, gripper]), now - age_ns), (puppet, now))

    assert all(step(i, 0.9) is None for i in range(5))
    closing = [step(i, 0.1) for i in range(5, 60)]
    first = next(i for i, target in enumerate(closing) if target is not None)
    assert first * STEP_NS >= 300_000_000
    assert all(target is not None for target in closing[first:])
    assert step(60, 0.1, age_ns=STALE_NS + 1) is None
    assert step(61, 0.1) is not None


def test_a_state_that_never_came_is_waited_for() -> None:
    law, now = follower(), 10**12
    state = (np.zeros(3), now)
    assert law.step(now, DT, None, state) is None
    assert law.step(now, DT, state, None) is None
    assert law.phase is Phase.WAITING
    assert law.step(now, DT, state, state) is not None


def test_a_gripper_measured_beyond_its_range_is_not_sent_beyond_it() -> None:
    """Joint limits may be wider than the gripper's range: -0.25 .. 1.25 of its travel here."""
    wider = np.array([0.0, 0.0, 0.25])
    for measured, end in ((1.2, 1.0), (-0.2, 0.0)):
        law = FollowerController(LOWER - wider, UPPER + wider, VELOCITY, gripper=2, stale_ns=STALE_NS)
        now, pose = 10**12, np.array([0.0, 0.0, measured])
        for i in range(20):
            target = law.step(now + i * STEP_NS, DT, (pose, now + i * STEP_NS), (pose, now + i * STEP_NS))
            assert target is not None
            assert target[2] == end
