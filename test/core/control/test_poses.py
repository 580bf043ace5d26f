"""The way to a robot's poses: straight, slowly, by way of home, and no arrival that was not seen."""

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
from vgil_ros.core.control.poses import PoseCourse, waypoints
from vgil_ros.core.errors import ContractError, VgilError
from vgil_ros.core.layout import Layout

PERIOD = 0.04
VELOCITY = np.array([2.0, 2.0, 2.5])  # of the action: the gripper's 0.2 m/s over its travel of 0.08 m
SPEED = 0.15


def layout_of(**changes: Any) -> Layout:
    arm = {**copy.deepcopy(ARM), "sleep": [0.4, 0.95, 0.02], **changes}
    return Layout(validate(Contract, small_robot(arms=[arm]), "small.yaml", ContractError))


def go(course: PoseCourse, at: np.ndarray, stuck: int | None = None, ticks: int = 2000) -> np.ndarray:
    """Commands of a robot that comes after them at once, but for a joint; until it ends."""
    rows, last, measured = [], at, at.copy()
    for i in range(ticks):
        last = course.next(10**18 + round(i * PERIOD * 1e9), PERIOD, last, measured)
        rows.append(last)
        measured = np.where(np.arange(3) == stuck, at, last)
        if course.done or course.failure:
            break
    return np.array(rows)


@settings(max_examples=40, deadline=None)
@given(at=st.tuples(st.floats(-2.4, 2.4), st.floats(-1.4, 1.4), st.floats(0, 1)))
def test_to_sleep_it_goes_slowly_by_way_of_home(at: tuple[float, ...]) -> None:
    layout, start = layout_of(), np.array(at)
    course = PoseCourse(layout, waypoints(layout, "sleep"), SPEED)
    rows = go(course, start)
    assert course.done
    steps = np.abs(np.diff(rows, axis=0, prepend=start[None]))
    assert (steps <= SPEED * VELOCITY * PERIOD + 1e-9).all()
    home = np.flatnonzero(np.abs(rows - layout.home).max(axis=1) < 1e-6)
    assert home.size, "it has been home"
    np.testing.assert_allclose(rows[-1], [0.4, 0.95, 0.0], atol=1e-9)
    for part in (rows[: home[0] + 1], rows[home[0] :]):  # straight: every joint there at the same time
        way = part[-1] - part[0]
        if np.abs(way).max() > 0.1:
            middle = (part[len(part) // 2] - part[0])[np.abs(way) > 0.05] / way[np.abs(way) > 0.05]
            assert np.ptp(middle) < 1e-6


def test_it_waits_until_every_joint_is_seen_there_and_names_the_one_that_is_not() -> None:
    layout = layout_of()
    course = PoseCourse(layout, waypoints(layout, "home"), SPEED)
    go(course, np.array([0.5, 0.5, 0.2]), stuck=1)
    assert not course.done
    assert course.failure == "left/elbow is at 0.5, its pose is 0: it does not get there"


def test_a_gripper_that_has_closed_on_a_thing_is_there() -> None:
    layout = layout_of()
    course = PoseCourse(layout, waypoints(layout, "sleep"), SPEED)
    go(course, np.array([0.1, 0.1, 0.6]), stuck=2)
    assert course.done


def test_hold_stays_and_wake_is_home_where_there_is_no_start() -> None:
    layout, at = layout_of(), np.array([0.5, -0.5, 0.5])
    course = PoseCourse(layout, waypoints(layout, "hold"), SPEED)
    np.testing.assert_array_equal(go(course, at, ticks=100), np.tile(at, (100, 1)))
    assert not course.done
    np.testing.assert_array_equal(waypoints(layout, "wake"), [layout.home])
    np.testing.assert_allclose(waypoints(layout_of(start=[0.1, 0.2, 0.1]), "wake"), [[0.1, 0.2, 1.0]])


def test_a_pose_outside_the_limits_and_sleep_without_one_are_refused() -> None:
    with pytest.raises(ContractError, match=r"sleep of joint 'elbow' is 1.2; allowed: -1.0 to 1.0, its limits"):
        layout_of(sleep=[0.0, 1.2, 0.1])
    with pytest.raises(ContractError, match="start has 2 values; allowed: 3"):
        layout_of(start=[0.0, 0.2])
    with pytest.raises(VgilError, match=r"robot 'vgil_franka' has no pose to sleep in: arms\[0\].sleep must be given"):
        waypoints(Layout(load_contract("vgil_franka")[0]), "sleep")
