"""The hand in a browser: what keys, pad, drag and gripper ask of a leader, and when they ask for nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("nicegui")

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.jog.gamepad import PRESETS, Pad, PadMap
from vgil_ros.robots.jog.keys import MOTIONS
from vgil_ros.robots.jog.settings import AXES, LEVELS
from vgil_ros.web.teach.browser_pad import browser_state
from vgil_ros.web.teach.hand import NEAR, REPEAT_LOST_S, Hand, Leader

AT = Leader(np.array([0.3, 0.0, 0.2]), 1.0)


def test_a_key_moves_while_it_is_held_and_not_after() -> None:
    hand = Hand(["arm"])
    assert hand.wish(0.0, AT) is None
    hand.press("u", 0.0)
    wish = hand.wish(0.1, AT)
    assert wish is not None
    assert wish.twist.tolist() == [0, 0, pytest.approx(0.2 * LEVELS[2]), 0, 0, 0]
    assert (wish.arm, wish.frame, wish.gripper) == ("arm", "base", None)
    hand.let_go("u")
    assert hand.wish(0.2, AT) is None
    assert not hand.holds


@given(st.lists(st.sampled_from(sorted(set(MOTIONS) - {"x", "z"})), unique=True), st.integers(0, len(LEVELS) - 1))
def test_no_set_of_keys_is_faster_than_the_speed_level(keys: list[str], level: int) -> None:
    hand = Hand(["arm"], level=level)
    for key in keys:
        hand.press(key, 0.0)
    wish = hand.wish(0.0, AT)
    if wish is not None:
        linear, angular = hand.speed
        assert np.linalg.norm(wish.twist[:3]) <= linear + 1e-12
        assert np.linalg.norm(wish.twist[3:]) <= angular + 1e-12


def test_a_key_whose_repeats_end_is_up_though_its_up_was_lost() -> None:
    hand = Hand(["arm"])
    hand.press("i", 0.0)
    hand.press("i", 0.5, repeated=True)
    assert hand.wish(0.5 + 0.9 * REPEAT_LOST_S, AT) is not None
    assert hand.wish(0.5 + 1.1 * REPEAT_LOST_S, AT) is None


def test_a_key_that_a_newer_one_keeps_from_repeating_stays_down() -> None:
    hand = Hand(["arm"])
    hand.press("i", 0.0)
    hand.press("i", 0.5, repeated=True)
    hand.press("u", 0.6)  # keyboards repeat the newest alone
    wish = hand.wish(9.0, AT)
    assert wish is not None
    assert wish.twist[0] > 0 < wish.twist[2]


def test_a_dragged_gripper_goes_straight_there_and_stands() -> None:
    hand = Hand(["arm"])
    hand.turn_frame()
    assert AT.tip is not None
    tip, hand.target = AT.tip.copy(), AT.tip + np.array([0.05, 0.0, -0.1])
    now, off_line = 0.0, 0.0
    way = (hand.target - tip) / np.linalg.norm(hand.target - tip)
    for _ in range(400):
        wish = hand.wish(now, Leader(tip, 1.0))
        assert wish is not None
        assert wish.frame == "base"  # whatever was chosen: the scene is no tool's
        assert np.linalg.norm(wish.twist[:3]) <= hand.speed[0] + 1e-12
        tip = tip + 0.05 * wish.twist[:3]
        now += 0.05
        rest = hand.target - tip
        off_line = max(off_line, float(np.linalg.norm(rest - (rest @ way) * way)))
    assert np.linalg.norm(hand.target - tip) <= NEAR
    assert off_line < 1e-9


def test_a_gripper_on_its_way_is_told_until_it_is_there_and_as_long_as_the_arm_moves() -> None:
    hand = Hand(["arm"])
    hand.grip_toggle(0.0, 1.0)
    wish = hand.wish(0.1, AT)
    assert wish is not None
    assert wish.gripper == 0.0
    assert not wish.twist.any()
    hand.press("u", 0.2)
    wish = hand.wish(60.0, AT)  # a word that ended would be a stop
    assert wish is not None
    assert wish.gripper == 0.0
    hand.let_go("u")
    assert hand.wish(60.1, AT) is None


def test_held_gripper_keys_open_and_close_it_little_by_little() -> None:
    hand = Hand(["arm"])
    hand.press("z", 0.0)
    hand.wish(0.0, Leader(None, 0.8))
    wish = hand.wish(0.1, Leader(None, 0.8))
    assert wish is not None
    assert wish.gripper == pytest.approx(0.8 - 0.1 * hand.settings.gripper_speed)


def test_another_arm_is_not_moved_by_what_was_held_for_the_one_before() -> None:
    hand = Hand(["left", "right"])
    hand.press("i", 0.0)
    hand.next_arm()
    assert hand.arm == "right"
    assert hand.wish(0.1, AT) is None
    with pytest.raises(VgilError, match="arm 'third' is unknown; allowed: left, right"):
        hand.choose("third")


def test_release_lets_go_of_everything() -> None:
    hand = Hand(["arm"])
    hand.press("i", 0.0)
    hand.stick = np.ones(7)
    hand.target = np.zeros(3)
    hand.grip_to(0.5, 0.0)
    hand.release()
    assert not hand.holds
    assert hand.wish(0.0, AT) is None


def pad_of(axes: list[float], pressed: set[int]) -> Pad:
    """Jog's pad, as a browser tells of it."""
    said = [True, [["Xbox", axes, [float(i in pressed) for i in range(17)]]]]
    state = browser_state(said)
    assert state is not None
    pad = Pad(PadMap.parse(*PRESETS["gamepad"][:2]), 0.1)
    pad.read(state.axes, [0] * 8)
    pad.read(state.axes, state.buttons)
    return pad


def test_a_browsers_gamepad_moves_what_joy_node_s_does() -> None:
    """Stick up is forward, left is left, and nothing without the dead-man button."""
    assert not pad_of([0.0, -1.0, 0.0, 0.0], set()).stick.any()
    assert pad_of([0.0, -1.0, 0.0, 0.0], {5}).stick[AXES.index("x")] == 1.0
    assert pad_of([-1.0, 0.0, 0.0, 0.0], {5}).stick[AXES.index("y")] == 1.0
    assert pad_of([0.0, 0.0, 0.0, -1.0], {5}).stick[AXES.index("z")] == 1.0
    assert pad_of([0.0, 0.0, -1.0, 0.0], {5}).stick[AXES.index("yaw")] == 1.0


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=4)))
def test_whatever_a_browser_says_is_no_error(said: object) -> None:
    state = browser_state(said)
    assert state is None or state.pad == ""
