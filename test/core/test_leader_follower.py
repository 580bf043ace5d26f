"""Laws of following: no jump, no command on stale states, gentle first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.guard.following import FollowingMonitor
from vgil_ros.core.leader_follower import ALIGN_SPEED, ALIGNED, GRIP_MOVED, REALIGN, FollowerController, Phase

LOWER, UPPER = np.array([-2.0, -1.0, 0.0]), np.array([2.0, 1.0, 1.0])
VELOCITY = np.array([2.0, 1.0, 4.0])
DT = 0.01
STEP_NS = 10_000_000
STALE_NS = 200_000_000

poses = st.tuples(st.floats(-4, 4), st.floats(-4, 4), st.floats(-1, 2)).map(np.array)
steps = st.lists(st.tuples(poses, st.integers(0, 60), poses, st.integers(0, 60)), min_size=1, max_size=60)


def follower(*, wait_for_trigger: bool = False) -> FollowerController:
    return FollowerController(LOWER, UPPER, VELOCITY, gripper=2, wait_for_trigger=wait_for_trigger, stale_ns=STALE_NS)


def begin_at(puppet: np.ndarray) -> np.ndarray:
    """Where the commands begin: where the puppet is, but for a gripper measured beyond its range."""
    return np.array([*puppet[:2], np.clip(puppet[2], 0.0, 1.0)])


@given(steps)
def test_targets_never_leave_the_limits_nor_step_and_move_no_faster_than_the_velocity(rows: list) -> None:
    law, before, held, paused = follower(), None, None, 0
    for i, (master, master_age, puppet, puppet_age) in enumerate(rows):
        now = 10**12 + i * STEP_NS
        was = law.phase
        states = (master, now - master_age * STEP_NS), (puppet, now - puppet_age * STEP_NS)
        target = law.step(now, DT, *states)
        fresh = max(master_age, puppet_age) * STEP_NS <= STALE_NS
        assert (target is not None) == fresh
        if target is None:
            assert law.phase is Phase.WAITING
            paused = now if before is not None else paused
            before = None
            continue
        start = begin_at(puppet) if before is None else before
        if before is None and held is not None:  # from what its driver holds, or at least what its gripper does
            start = held if now - paused <= STALE_NS else np.array([*start[:2], held[2]])
        assert (target >= np.minimum(LOWER, start)).all(), "never farther out than it was"
        assert (target <= np.maximum(UPPER, start)).all()
        speed = VELOCITY * (ALIGN_SPEED if was is Phase.ALIGNING else 1.0)
        assert (np.abs(target - start) <= speed * DT + 1e-9).all()
        before = held = target


@settings(max_examples=30, deadline=None)
@given(poses, poses)
def test_a_wide_gap_is_closed_gently_and_then_the_master_is_reached(master: np.ndarray, puppet: np.ndarray) -> None:
    law, now = follower(), 10**12
    goal, start = np.clip(master, LOWER, UPPER), begin_at(puppet)
    phases = []
    target: np.ndarray | None = start
    for i in range(2700):
        target = law.step(now + i * STEP_NS, DT, (master, now + i * STEP_NS), (puppet, now + i * STEP_NS))
        phases.append(law.phase)
    np.testing.assert_allclose(target, goal, atol=1e-9)
    assert law.phase is Phase.FOLLOWING
    outside = np.abs(start - np.clip(start, LOWER, UPPER)).max() > ALIGNED
    far = np.abs(goal - start).max() > REALIGN or outside
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


class Stuck:
    """A puppet whose waist has no torque, led by a master."""

    def __init__(self, after_ns: int = 1_000_000_000) -> None:
        monitor = FollowingMonitor(np.array([0.3, 0.3, np.inf]), after_ns)
        self.law = FollowerController(LOWER, UPPER, VELOCITY, gripper=2, stale_ns=STALE_NS, monitor=monitor)
        self.now, self.puppet, self.sent = 10**12, np.zeros(3), np.zeros(3)

    def step(self, master: list[float], *, stuck: bool = True) -> Phase:
        """A tick: the puppet comes after what was sent last, but for its waist where it is stuck."""
        self.now += STEP_NS
        target = self.law.step(self.now, DT, (np.array(master), self.now), (self.puppet, self.now))
        assert target is not None
        assert (np.abs(target - self.sent) <= VELOCITY * DT + 1e-9).all()
        self.sent = target
        self.puppet = np.array([self.puppet[0] if stuck else target[0], target[1], 0.7])
        return self.law.phase


def test_a_joint_that_does_not_follow_holds_the_arm_until_the_master_comes_to_it() -> None:
    rig = Stuck()
    phases = [rig.step([1.5, 0.8, 0.0]) for _ in range(500)]
    found = phases.index(Phase.BLOCKED)
    assert 100 <= found <= 260, "about a second after the command has left it by 0.3"
    assert set(phases[found:]) == {Phase.BLOCKED}
    assert rig.law.blocked.tolist() == [True, False, False]
    assert rig.sent[0] == 0.0, "nothing pulls any more: it is commanded to where it is"
    held = rig.sent.copy()
    rig.now += STEP_NS
    assert rig.law.step(rig.now, DT, None, (rig.puppet, rig.now)) is None
    assert rig.step([0.9, 0.8, 0.0], stuck=False) is Phase.BLOCKED, "a lost message does not let go of it"
    np.testing.assert_array_equal(rig.sent, held)
    assert rig.step([0.9, 0.8, 0.0], stuck=False) is Phase.BLOCKED
    np.testing.assert_array_equal(rig.sent, held)
    assert rig.step([0.1, 0.8, 0.0], stuck=False) is Phase.ALIGNING, "slowly: the elbow was held on its way"
    assert [rig.step([0.1, 0.8, 0.0], stuck=False) for _ in range(400)][-1] is Phase.FOLLOWING
    assert rig.sent[2] == 0.0, "the gripper never let go"


def test_a_blocked_joint_is_held_where_it_is_also_after_a_message_that_is_lost_at_once() -> None:
    rig = Stuck()
    while rig.step([1.5, 0.8, 0.0]) is not Phase.BLOCKED:
        pass
    assert rig.sent[0] > 0.2, "its target is on the way to where the joint is"
    rig.now += STEP_NS
    assert rig.law.step(rig.now, DT, (np.array([1.5, 0.8, 0.0]), rig.now), None) is None
    for _ in range(200):
        rig.step([1.5, 0.8, 0.0])
    assert rig.sent[0] == pytest.approx(0.0, abs=1e-9)


def test_a_pause_now_and_then_does_not_hide_a_joint_that_does_not_follow() -> None:
    rig = Stuck()
    for tick in range(600):
        if tick % 45 == 44:
            rig.now += STEP_NS
            rig.law.step(rig.now, DT, (np.array([1.5, 0.8, 0.0]), rig.now), None)
        elif rig.step([1.5, 0.8, 0.0]) is Phase.BLOCKED:
            break
    assert rig.law.phase is Phase.BLOCKED
    assert tick < 300


def test_a_clock_that_is_set_back_makes_no_dead_master_alive() -> None:
    law, now = follower(), 10**12
    master, puppet = (np.array([1.5, 0.0, 0.0]), now), np.zeros(3)
    for _ in range(10):
        now += STEP_NS
        target = law.step(now, DT, master, (puppet, now))
        assert target is not None
        puppet = target
    now += 10**10
    assert law.step(now, DT, master, (puppet, now)) is None, "it has died"
    now -= 3 * 10**10
    for _ in range(4000):
        now += STEP_NS
        if abs(now - master[1]) > STALE_NS:
            assert law.step(now, DT, master, (puppet, now)) is None


def test_a_puppet_that_trails_is_not_blocked_and_neither_is_a_gripper_on_a_thing() -> None:
    rig, trail = Stuck(), []
    for i in range(1000):
        rig.step([1.9 * np.sin(0.01 * i), 0.9 * np.sin(0.01 * i), 0.0], stuck=False)
        trail.append(rig.puppet[:2].copy())
        rig.puppet = np.array([*trail[max(0, i - 20)], 0.7])  # 0.2 s behind
        assert rig.law.phase is not Phase.BLOCKED


def test_one_lost_message_in_a_fast_motion_is_no_jerk() -> None:
    law = follower()
    sent: list[np.ndarray] = []
    for i in range(200):
        now, master = 10**12 + i * STEP_NS, np.array([-1.9 + 0.018 * i, 0.0, 0.5])
        puppet = sent[-10] if len(sent) > 10 else np.array([-1.9, 0.0, 0.5])
        target = law.step(now, DT, None if i in (100, 150) else (master, now), (puppet, now))
        assert (target is None) == (i in (100, 150))
        if target is not None:
            sent.append(target)
    steps = np.diff(np.array(sent)[:, 0])
    assert (steps >= 0.0).all()
    assert (steps <= VELOCITY[0] * DT + 1e-9).all()


def test_a_puppet_that_was_moved_before_the_gesture_is_begun_with_where_it_is() -> None:
    law = follower(wait_for_trigger=True)
    for i in range(200):
        now, at = 10**12 + i * STEP_NS, 0.0 if i < 50 else 1.5
        master = np.array([0.0, 0.0, 0.9 if i < 100 else 0.1])
        target = law.step(now, DT, (master, now), (np.array([at, 0.0, 0.5]), now))
        if target is not None:
            break
    assert target is not None
    assert abs(target[0] - 1.5) <= ALIGN_SPEED * VELOCITY[0] * DT + 1e-9


def test_after_a_hand_over_nothing_of_what_was_commanded_before_is_left() -> None:
    """The gripper held a thing at 0.1; whoever had the robot meanwhile opened it and brought the arm elsewhere."""
    law = follower()
    for i in range(100):
        now, pose = 10**12 + i * STEP_NS, np.array([0.0, 0.0, 0.1])
        law.step(now, DT, (pose, now), (pose, now))
    law.release()
    assert law.phase is Phase.WAITING
    now, puppet = 10**12 + 101 * STEP_NS, np.array([1.0, 0.5, 0.9])  # soon after: no brief pause either
    target = law.step(now, DT, (np.array([1.0, 0.5, 0.9]), now), (puppet, now))
    assert target is not None
    np.testing.assert_allclose(target, puppet, atol=1e-9)


def test_after_a_hand_over_the_gesture_is_needed_again_but_not_after_a_reset_of_the_scene() -> None:
    law, puppet, now = follower(wait_for_trigger=True), np.array([0.0, 0.0, 0.5]), 10**12

    def steps(gripper: float, count: int = 50) -> list[np.ndarray | None]:
        nonlocal now
        found = []
        for _ in range(count):
            now += STEP_NS
            found.append(law.step(now, DT, (np.array([0.0, 0.0, gripper]), now), (puppet, now)))
        return found

    steps(0.9)
    assert steps(0.1)[-1] is not None
    law.scene_was_reset()
    assert all(target is not None for target in steps(0.9))
    law.release()
    assert steps(0.1) == [None] * 50, "closed all the time: that is no gesture"
    assert steps(0.9) == [None] * 50
    assert steps(0.1)[-1] is not None


def test_after_a_hand_over_a_joint_that_did_not_follow_is_begun_with_where_it_is() -> None:
    rig = Stuck()
    while rig.step([1.5, 0.8, 0.0]) is not Phase.BLOCKED:
        pass
    rig.law.release()
    assert not rig.law.blocked.any()
    rig.puppet = rig.sent = np.array([1.5, 0.8, 0.0])
    assert rig.step([1.5, 0.8, 0.0], stuck=False) is Phase.FOLLOWING


class Gentle:
    """A puppet that is where it was commanded, led gently, as after a takeover."""

    def __init__(self, at: list[float]) -> None:
        self.law = FollowerController(LOWER, UPPER, VELOCITY, gripper=2, stale_ns=STALE_NS, gentle=True)
        self.now, self.at = 10**12, np.array(at)

    def step(self, master: list[float] | None, count: int = 1) -> Phase:
        """So many ticks; None: the master is silent."""
        for _ in range(count):
            self.now += STEP_NS
            heard = None if master is None else (np.array(master), self.now)
            target = self.law.step(self.now, DT, heard, (self.at, self.now))
            assert (target is None) == (master is None)
            if target is not None:
                assert (np.abs(target - self.at) <= VELOCITY * DT + 1e-9).all()
                self.at = target
        return self.law.phase


def test_gently_led_a_near_master_is_aligned_with_anew_after_a_pause_that_is_not_brief() -> None:
    rig = Gentle([0.0, 0.0, 0.5])
    assert rig.step([0.0, 0.0, 0.5], 5) is Phase.FOLLOWING
    rig.step(None, 80)
    before = rig.at
    assert rig.step([0.19, 0.0, 0.5]) is Phase.ALIGNING, "0.19 rad: near enough for teleoperation to go on at once"
    assert abs(rig.at[0] - before[0]) <= ALIGN_SPEED * VELOCITY[0] * DT + 1e-9
    assert rig.step([0.19, 0.0, 0.5], 100) is Phase.FOLLOWING


def test_gently_led_a_brief_pause_changes_nothing() -> None:
    rig = Gentle([0.0, 0.0, 0.5])
    rig.step([0.0, 0.0, 0.5], 5)
    rig.step(None, 2)
    assert rig.step([0.1, 0.0, 0.5]) is Phase.FOLLOWING
    rig.law.scene_was_reset()
    rig.step([0.3, 0.0, 0.5])
    rig.step(None, 2)
    assert rig.step([0.25, 0.0, 0.5]) is Phase.ALIGNING, "nor does it end the alignment"


@given(st.floats(0, 1), st.lists(st.floats(-0.2, 1.2), min_size=1, max_size=20))
def test_gently_led_a_gripper_goes_only_the_way_that_the_hand_goes(at: float, masters: list[float]) -> None:
    """From the nearest that the master came to the command: away from it by more than `GRIP_MOVED`, or it is kept."""
    rig, nearest = Gentle([0.0, 0.0, at]), np.inf
    for master in masters:
        gap = abs(np.clip(master, 0.0, 1.0) - at)
        rig.step([0.0, 0.0, master], 30)
        if gap > nearest + GRIP_MOVED:
            np.testing.assert_allclose(rig.at[2], np.clip(master, 0.0, 1.0), atol=1e-9)
            return
        assert rig.at[2] == at
        nearest = min(nearest, gap)


def test_gently_led_a_grip_is_kept_through_silence_and_a_moved_gripper_follows() -> None:
    rig = Gentle([0.0, 0.0, 0.0])
    assert rig.step([0.0, 0.0, 0.35], 50) is Phase.FOLLOWING, "a kept gripper is no gap"
    for pause in (2, 80):
        rig.step(None, pause)
        assert rig.step([0.0, 0.0, 0.35], 50) is Phase.FOLLOWING
        assert rig.at[2] == 0.0
    rig.step([0.0, 0.0, 0.2], 50)
    assert rig.at[2] == 0.0, "a hand that closes does not open"
    rig.step([0.0, 0.0, 0.2 + 2 * GRIP_MOVED], 50)
    np.testing.assert_allclose(rig.at[2], 0.2 + 2 * GRIP_MOVED)
    rig.step([0.0, 0.0, 0.1], 50)
    np.testing.assert_allclose(rig.at[2], 0.1, err_msg="it follows from then on")
