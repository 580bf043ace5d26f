"""Laws of jogging: never beyond limits nor faster than them, no step at starts and stops, straight ways."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.assets import load_contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.robots.jog.jogger import MOST_DT, Jogger
from vgil_ros.robots.jog.settings import COMMANDS, LEVELS, JogSettings
from vgil_ros.robots.jog.smoothing import MovingAverage
from vgil_ros.robots.kinematics import pose_error

DT = 0.01
LAYOUT = Layout(load_contract("sim_aloha")[0])
SETTINGS = JogSettings()
FINE = 1e-9
sticks = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 1.0]), min_size=7, max_size=7)


def jogger(positions: list[np.ndarray] | None = None, **options: object) -> Jogger:
    made = Jogger(LAYOUT, list(LAYOUT.arms), SETTINGS, **options)  # type: ignore[arg-type]
    for i, arm in enumerate(LAYOUT.arms):
        made.measured(i, LAYOUT.home[arm.columns] if positions is None else positions[i])
    return made


def at(made: Jogger) -> np.ndarray:
    return np.concatenate([arm.position for arm in made.arms if arm.position is not None])


def go(made: Jogger, stick: list[float], seconds: float, dt: float = DT) -> np.ndarray:
    """(N, J) positions of all arms over a time."""
    rows = [at(made)]
    for _ in range(round(seconds / dt)):
        made.step(dt, made.twist(np.array(stick)), stick[6])
        rows.append(at(made))
    return np.array(rows)


VELOCITY: np.ndarray = np.asarray(LAYOUT.limit("velocity"))
MOST = np.where([n.endswith("gripper") for n in LAYOUT.joint_names], SETTINGS.gripper_speed,
                VELOCITY * SETTINGS.joint_speed)  # fmt: skip


@settings(max_examples=12)
@given(
    st.lists(st.floats(0.0, 1.0), min_size=14, max_size=14),
    st.lists(st.tuples(sticks, st.sampled_from([*COMMANDS, ""]), st.floats(0.001, 0.08)), min_size=2, max_size=6),
)
def test_nothing_is_beyond_the_limits_or_faster_than_them(
    shares: list[float], turns: list[tuple[list[float], str, float]]
) -> None:
    lower, upper = LAYOUT.lower.copy(), LAYOUT.upper.copy()
    start = lower + np.array(shares) * (upper - lower)
    made = jogger([start[arm.columns] for arm in LAYOUT.arms], level=3)
    for stick, command, dt in turns:
        before = at(made)
        if command:
            made.do(command)
        np.testing.assert_array_equal(at(made), before)  # a command alone moves nothing
        rows = go(made, stick, 12 * dt, dt)
        steps = np.abs(np.diff(rows, axis=0))
        assert (steps <= MOST * min(dt, MOST_DT) + FINE).all(), "no joint is faster than its limit"
        assert (rows >= lower - FINE).all()
        assert (rows <= upper + FINE).all()


@settings(max_examples=5)
@given(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
def test_a_start_outside_the_limits_stays_and_only_goes_inward(below: float, above: float) -> None:
    start = LAYOUT.home.copy()
    start[1] = LAYOUT.lower[1] - abs(below)
    start[9] = LAYOUT.upper[9] + abs(above)
    made = jogger([start[arm.columns] for arm in LAYOUT.arms], level=3)
    np.testing.assert_array_equal(at(made), start)
    for stick in ([1.0, 0, 0, 0, 0, 0, 0], [-1.0, 0, 1.0, 0, 0, 0, 0], [0, 0, 0, 0, 1.0, 0, 0]):
        rows = go(made, [float(x) for x in stick], 0.3)
        outside = np.maximum(np.maximum(LAYOUT.lower - rows, rows - LAYOUT.upper), 0.0)
        assert (np.diff(outside, axis=0) <= FINE).all(), "no farther out, and not out again"
        assert (np.abs(np.diff(rows, axis=0)) <= MOST * DT + FINE).all()
    made.do("home")
    assert go(made, [0.0] * 7, 0.1)[-1, 1] >= start[1]


@settings(max_examples=10)
@given(st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3), st.booleans(), st.integers(0, 3))
def test_the_tip_goes_straight_and_does_not_turn(way: list[float], in_tool: bool, level: int) -> None:
    if np.linalg.norm(way) < 0.1:
        return
    made = jogger(frame="tool" if in_tool else "base", level=level)
    arm = made.arm
    assert arm.position is not None
    start = arm.tip.pose(arm.position)
    twist = made.twist(np.array([*way, 0.0, 0.0, 0.0]))
    rows = go(made, [*way, 0.0, 0.0, 0.0, 0.0], 0.5)
    axes = start[:3, :3] if in_tool else np.eye(3)
    direction = axes @ twist[:3] / np.linalg.norm(twist[:3])
    for row in rows[::5]:
        error = pose_error(start, arm.tip.pose(row[:7]))
        along = float(error[:3] @ direction)
        assert np.linalg.norm(error[:3] - along * direction) < 1e-3, "off the line, m"
        assert np.linalg.norm(error[3:]) < 5e-3, "turned, rad"
        assert along >= -1e-5


def test_a_wish_is_followed_at_its_speed() -> None:
    made = jogger(level=3)
    arm = made.arm
    assert arm.position is not None
    start = arm.tip.pose(arm.position)
    rows = go(made, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.5)
    rest = go(made, [0.0] * 7, 0.2)
    moved = pose_error(start, arm.tip.pose(rest[-1][:7]))
    assert moved[:3] == pytest.approx([-0.1, 0.0, 0.0], abs=5e-4)  # 0.5 s at 0.2 m/s, the smoothing keeps the way
    np.testing.assert_array_equal(rest[-1], rest[-8])
    assert (rows[:, 7:] == rows[0, 7:]).all(), "the other arm holds"
    made.do("arm")
    rows = go(made, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 0.2)
    np.testing.assert_array_equal(rows[:, :7], np.tile(rest[-1][:7], (len(rows), 1)))
    other = made.arms[1]
    assert pose_error(start, other.tip.pose(rows[-1][7:]))[2] > 0.02, "up in its own base"


def test_a_turn_keeps_the_tip_where_it_is() -> None:
    made = jogger(level=3)
    arm = made.arm
    assert arm.position is not None
    start = arm.tip.pose(arm.position)
    go(made, [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0], 1.0)
    go(made, [0.0] * 7, 0.2)
    error = pose_error(start, arm.tip.pose(at(made)[:7]))
    assert error[4] == pytest.approx(1.0, abs=0.02), "through the wrist's singular pose"
    assert np.linalg.norm(error[:3]) < 2e-3


def test_at_the_end_of_its_reach_it_slows_down_says_so_and_comes_back() -> None:
    made = jogger(level=3)
    rows = go(made, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 4.0)
    assert made.hindrance().startswith("left: ")
    assert (np.abs(np.diff(rows, axis=0)) <= MOST * DT + FINE).all()
    assert np.abs(rows[-1] - rows[-30]).max() < 0.02, "it stands"
    far = made.arm.tip.pose(rows[-1][:7])
    go(made, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 1.0)
    back = pose_error(far, made.arm.tip.pose(at(made)[:7]))
    assert back[0] < -0.1


def test_a_joint_at_its_limit_is_named() -> None:
    made = jogger(level=3)
    go(made, [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 8.0)
    assert "at the limit of" in made.hindrance()
    assert "left: " in made.hindrance()
    assert any(joint in made.hindrance() for joint in ("forearm_roll", "wrist_rotate"))
    go(made, [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0], 0.5)
    assert "at the limit of" not in made.hindrance()
    go(made, [0.0] * 7, 0.2)
    assert made.hindrance() == ""


def test_home_is_slow_and_any_wish_ends_it() -> None:
    made = jogger(level=3)
    go(made, [-1.0, 0.5, 0.5, 0.0, 0.0, 0.0, -1.0], 1.0)
    grip = at(made)[6]
    made.do("home")
    assert made.going
    rows = go(made, [0.0] * 7, 6.0)
    assert not made.going
    assert (np.abs(np.diff(rows[:, :6], axis=0)) <= SETTINGS.home_speed * VELOCITY[:6] * DT + FINE).all()
    np.testing.assert_allclose(rows[-1][:6], LAYOUT.home[:6], atol=1e-9)
    assert rows[-1][6] == grip, "what the gripper holds it keeps"
    go(made, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.5)
    made.do("home")
    go(made, [0.0] * 7, 0.1)
    go(made, [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], 0.1)
    rows = go(made, [0.0] * 7, 1.0)
    np.testing.assert_array_equal(rows[-1], rows[20])


def test_the_gripper_closes_smoothly_and_opens_again() -> None:
    made = jogger()
    made.do("grip")
    rows = go(made, [0.0] * 7, 1.0)[:, 6]
    assert rows[0] == pytest.approx(1.0)
    assert rows[-1] == 0.0
    assert np.abs(np.diff(rows)).max() <= SETTINGS.gripper_speed * DT + FINE
    assert not made.gripping
    made.do("grip")
    go(made, [0.0] * 7, 0.1)
    assert made.gripping
    made.do("stop")
    stopped = at(made)[6]
    assert 0.1 < stopped < 0.2
    np.testing.assert_array_equal(go(made, [0.0] * 7, 0.3)[:, 6], stopped)


def test_a_puppet_that_is_not_heard_is_led_nowhere_and_begun_anew() -> None:
    made = jogger()
    go(made, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.3)
    held = at(made)
    made.measured(0, None)
    np.testing.assert_array_equal(go(made, [-1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], 0.3)[-1], held)
    made.forget()
    assert made.arms[0].position is None
    moved = held[:7] + 0.01
    made.measured(0, moved)
    np.testing.assert_allclose(at(made)[:6], moved[:6])
    made.measured(0, moved + 0.1)
    made.do("align")
    go(made, [0.0] * 7, 2.0)
    np.testing.assert_allclose(at(made)[:6], moved[:6] + 0.1)


def test_levels_and_names() -> None:
    made = jogger(level=0)
    for _ in LEVELS:
        made.do("faster")
    assert made.speed == (SETTINGS.linear, SETTINGS.angular)
    made.choose("right")
    assert made.arm.name == "right"
    with pytest.raises(VgilError, match=r"arm 'middle' is unknown; allowed: \['left', 'right'\]"):
        made.choose("middle")
    with pytest.raises(VgilError, match="command 'jump' is unknown; allowed: arm, frame"):
        made.do("jump")
    wide = made.limited(np.array([10.0, 0.0, 0.0, 1.0, 0.0, 0.0]))
    assert wide == pytest.approx([0.2, 0, 0, 0.02, 0, 0])


@given(st.lists(st.floats(0.001, 0.06), min_size=1, max_size=40), st.integers(0, 30))
def test_smoothing_keeps_the_way(steps: list[float], given_for: int) -> None:
    smooth = MovingAverage(1, 0.1)
    asked = made = 0.0
    for i, dt in enumerate([*steps, *[0.02] * 10]):
        wish = 1.0 if i < min(given_for, len(steps)) else 0.0
        asked += wish * dt
        value = float(smooth.step(dt, np.array([wish]))[0])
        assert -FINE <= value <= 1.0 + FINE
        made += value * dt
    assert smooth.resting
    if len(set(steps)) == 1 and steps[0] == 0.02:
        assert made == pytest.approx(asked)
