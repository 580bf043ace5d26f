"""Keys, gamepads and joystick files: what a hand on them asks for, and for how long."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.jog.gamepad import PRESETS, Pad, PadMap
from vgil_ros.robots.jog.joystick import Joystick
from vgil_ros.robots.jog.keys import COMMAND_KEYS, HELP, MOTIONS, HeldKeys, KeyNames, Pace
from vgil_ros.robots.jog.settings import AXES, COMMANDS, LEVELS

DT = 0.01
STEP_S = np.array([0.05] * 3 + [0.1] * 3 + [0.07])
SPEED = Pace(steps=False, share=0.5)


def held() -> HeldKeys:
    return HeldKeys(0.5, 0.15, STEP_S)


def total(keys: HeldKeys, seconds: float, pace: Pace, dt: float = DT) -> np.ndarray:
    """The way that is asked for, in seconds of a full stick at the highest level."""
    share = np.array([1.0 if name == "grip" else pace.share for name in AXES])
    return np.sum([keys.stick(dt, pace) * dt * share for _ in range(round(seconds / dt))], axis=0)


def test_a_key_is_held_half_a_second_and_a_repeated_one_shorter() -> None:
    keys = held()
    keys.press("i", SPEED)
    assert total(keys, 2.0, SPEED)[0] == pytest.approx(0.5 * 0.5)
    keys.press("i", SPEED)
    total(keys, 0.45, SPEED)
    for _ in range(10):  # the terminal repeats
        keys.press("i", SPEED)
        assert total(keys, 0.03, SPEED)[0] == pytest.approx(0.015)
    assert total(keys, 2.0, SPEED)[0] == pytest.approx(0.12 * 0.5)


def test_the_key_for_the_other_way_ends_one_and_others_go_beside_it() -> None:
    keys = held()
    keys.press("i", SPEED)
    keys.press("k", SPEED)
    assert keys.stick(DT, SPEED)[0] == -1.0
    keys.press("up", SPEED)
    assert keys.stick(DT, SPEED)[0] == 1.0
    keys.press("u", SPEED)
    assert keys.stick(DT, SPEED)[:3] == pytest.approx([0.5**0.5, 0.0, 0.5**0.5]), "across is not faster"
    keys.release()
    assert not keys.stick(DT, SPEED).any()


@settings(max_examples=20)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(MOTIONS)), st.sampled_from(LEVELS)), max_size=8),
    st.floats(0.01, 0.05),
    st.sampled_from(LEVELS),
)
def test_steps_add_up_whatever_comes_at_once(presses: list[tuple[str, float]], dt: float, at: float) -> None:
    keys, wanted = held(), np.zeros(7)
    for key, share in presses:
        keys.press(key, Pace(steps=True, share=share))
        axis, sign = MOTIONS[key]
        wanted[axis] += sign * STEP_S[axis] * (1.0 if axis == 6 else share)
    found, pace = np.zeros(7), Pace(steps=True, share=at)
    while (way := total(keys, dt, pace, dt)).any() and np.abs(way).max() > 1e-12:
        found += way
    np.testing.assert_allclose(found, wanted, atol=1e-9)


def test_no_key_is_the_recorders_and_each_is_in_the_help() -> None:
    single = {key for key in (*MOTIONS, *COMMAND_KEYS) if len(key) == 1}
    assert not single & set("sdrq")
    assert set(COMMAND_KEYS.values()) == set(COMMANDS)
    said = {key for keys, _ in HELP for key in keys.split()} | {" ", "\t", "="}
    assert single <= said


@pytest.mark.parametrize(
    ("characters", "names"),
    [
        ("iK ", ["i", "k", " "]),
        ("\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        ("\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[1~", ["up", "page up", "page down", "home", "home"]),
        ("\x1bi", ["esc", "i"]),
        ("\x1b", ["esc"]),
        ("\x1b\x1b[A", ["esc", "up"]),
        ("\x1b[200~i\x1b[Z", ["i"]),
        ("\x1b[1;5Ai", ["i"]),
    ],
)
def test_a_terminals_characters_are_keys(characters: str, names: list[str]) -> None:
    whole, one_by_one = KeyNames(), KeyNames()
    assert [*whole.feed(characters), *whole.feed("")] == names
    found = [key for character in characters for key in one_by_one.feed(character)]
    assert [*found, *one_by_one.feed("")] == names


def pad(axes: str = "x=1 y=-0", buttons: str = "deadman=5 grip=0 open=2") -> Pad:
    return Pad(PadMap.parse(axes, buttons), 0.1)


def test_a_pad_moves_while_its_deadman_is_held_and_obeys_each_press_once() -> None:
    made = pad()
    assert made.read([0.0, 1.0], [0] * 6) == []
    assert not made.stick.any(), "the dead-man is up"
    assert made.let_go
    assert made.read([0.5, 1.0], [0, 0, 1, 0, 0, 1]) == []
    assert made.stick[:2] == pytest.approx([1.0, -(0.5 - 0.1) / 0.9])
    assert made.stick[6] == 1.0
    assert not made.let_go
    assert made.read([0.0, 0.0], [1, 0, 0, 0, 0, 1]) == ["grip"]
    assert made.read([0.05, 0.05], [1, 0, 0, 0, 0, 1]) == []
    assert not made.stick.any(), "within the dead zone"
    made.release()
    assert made.let_go, "as far as is known"
    assert made.read([0.0, 0.0], [1, 0, 0, 0, 0, 1]) == [], "down since before it was heard again"
    without = pad(buttons="grip=0")
    without.read([0.0, 0.0], [0])
    assert not without.let_go, "a device without a dead-man is never let go of"


@given(st.floats(allow_nan=True, allow_infinity=True), st.floats(0.0, 0.9))
def test_an_axis_gives_minus_one_to_one_and_grows_with_the_hand(value: float, deadzone: float) -> None:
    made = Pad(PadMap.parse("x=0", ""), deadzone)
    made.read([value], [])
    assert np.isfinite(made.stick).all()
    assert abs(made.stick[0]) <= 1.0
    if np.isfinite(value):
        assert made.stick[0] * value >= 0.0


@pytest.mark.parametrize(
    ("axes", "buttons", "words"),
    [
        ("x", "", r"axes has 'x'; allowed: NAME=NUMBER, with a name of x, y, z"),
        ("w=1", "", r"axes has 'w'; allowed: x, y, z"),
        ("x=1 x=2", "", "axes has 'x' more than once; allowed: once"),
        ("x=--1", "", "axes has 'x=--1'; allowed"),
        ("", "jump=1", "buttons has 'jump'; allowed: arm, frame"),
        ("", "grip=-1", "buttons has 'grip=-1'; allowed: numbers from 0"),
    ],
)
def test_a_wrong_map_is_named(axes: str, buttons: str, words: str) -> None:
    with pytest.raises(VgilError, match=words):
        PadMap.parse(axes, buttons)


def test_the_presets_are_read_and_what_a_device_lacks_is_named() -> None:
    for axes, buttons, _ in PRESETS.values():
        assert PadMap.parse(axes, buttons).lacking(8, 11) == ""
    words = pad().mapping.lacking(1, 3)
    assert words.startswith("has 1 axes and 3 buttons, and not axis 1 (x), button 5 (deadman)")


def test_a_joystick_file_tells_what_changed_until_it_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "js0"
    os.mkfifo(path)
    made = Joystick(str(path))
    writer = os.open(path, os.O_WRONLY)
    event = struct.Struct("<IhBB")
    first = event.pack(1, -32767, 0x82, 1) + event.pack(2, 0, 0x82, 0) + event.pack(3, 1, 0x01, 2)
    os.write(writer, first[:11])
    assert made.poll()
    assert (made.axes, made.buttons) == ([0.0, 1.0], [])
    os.write(writer, first[11:])
    assert made.poll()
    assert made.axes == [0.0, 1.0]
    assert made.buttons == [0, 0, 1]
    os.close(writer)
    assert not made.poll()
    assert not made.poll()
    with pytest.raises(VgilError, match=r"joystick '.*js1' cannot be opened \(No such file"):
        Joystick(str(tmp_path / "js1"))
