"""LeRobot's calibration file: what it says of ticks, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.feetech.calibrations import JOINTS, calibration, write_calibration

from vgil_ros.core.errors import VgilError
from vgil_ros.robots.feetech.calibration import (
    MotorCalibration,
    joint_units,
    load_calibration,
    save_calibration,
)


def test_degrees_and_percent_are_lerobots(tmp_path: Path) -> None:
    """Its degrees are (ticks - middle) * 360 / 4095, its gripper is 0 to 100 from range_min to range_max."""
    motors = load_calibration(write_calibration("follower", tmp_path), JOINTS)
    units = joint_units(motors, {"gripper": -0.17453})
    ticks = np.array([2400.0, 1000.0, 3000.0, 2000.0, 135.0, 2770.0])
    degrees = [(t - (m.range_min + m.range_max) / 2) * 360 / 4095 for t, m in zip(ticks, motors.values(), strict=True)]
    np.testing.assert_allclose(np.degrees(units.radians(ticks))[:5], degrees[:5], rtol=3e-4)
    gripper = motors["gripper"]
    share = (ticks[5] - gripper.range_min) / (gripper.range_max - gripper.range_min)
    opened = units.upper[5] - units.lower[5]
    assert units.radians(ticks)[5] == pytest.approx(-0.17453 + share * opened)
    assert units.lower[5] == pytest.approx(-0.17453), "closed"


motors_of = st.builds(
    lambda low, size, mode: MotorCalibration(
        id=1, drive_mode=mode, homing_offset=0, range_min=low, range_max=min(low + size, 4095)
    ),
    st.integers(0, 3900),
    st.integers(60, 4095),
    st.integers(0, 1),
)


@given(st.lists(motors_of, min_size=1, max_size=4), st.booleans(), st.data())
def test_ticks_come_back_and_never_leave_the_range(
    found: list[MotorCalibration], gripper: bool, data: st.DataObject
) -> None:
    motors = {f"j{i}": motor for i, motor in enumerate(found)}
    units = joint_units(motors, {"j0": 0.3} if gripper else {})
    ticks = np.array([data.draw(st.integers(m.range_min, m.range_max)) for m in found])
    radians = units.radians(ticks)
    np.testing.assert_array_equal(units.ticks(radians), ticks)
    assert ((radians >= units.lower - 1e-9) & (radians <= units.upper + 1e-9)).all()
    anywhere = np.array([data.draw(st.floats(-10, 10)) for _ in found])
    sent = units.ticks(anywhere)
    assert all(m.range_min <= t <= m.range_max for m, t in zip(found, sent, strict=True))


def test_it_is_written_as_it_is_read(tmp_path: Path) -> None:
    motors = load_calibration(write_calibration("leader", tmp_path), JOINTS)
    copy = tmp_path / "deep" / "copy.json"
    save_calibration(copy, motors)
    assert load_calibration(copy, JOINTS) == motors
    assert json.loads(copy.read_text()) == calibration("leader")


CHANGES: list[tuple[dict[str, Any] | None, str]] = [
    ({"gripper": None}, r"has the motors .*; allowed: the contract's joints"),
    ({"gripper": {"id": 6}}, r"f.json: gripper: homing_offset: missing"),
    ({"elbow_flex": {**calibration("leader")["elbow_flex"], "id": 2}}, "shoulder_lift and elbow_flex both have id 2"),
    ({"elbow_flex": {**calibration("leader")["elbow_flex"], "range_max": 845}}, r"range_min is 842 and range_max 845"),
    ({"elbow_flex": {**calibration("leader")["elbow_flex"], "range_max": 5000}}, r"range_max: found 5000; allowed"),
    ({"elbow_flex": {**calibration("leader")["elbow_flex"], "offset": 0}}, r"elbow_flex: offset: unknown key"),
    (None, "no such file; make it with `vgil robot calibrate`"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES, ids=range(len(CHANGES)))
def test_what_is_wrong_is_named(change: dict[str, Any] | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    if change is not None:
        values = {k: v for k, v in (calibration("leader") | change).items() if v is not None}
        path.write_text(json.dumps(values))
    with pytest.raises(VgilError, match=words):
        load_calibration(path, JOINTS)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{'a': 1}", '{"a": {}, "a": {}}'])
def test_no_calibration_at_all(text: str, tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text(text)
    with pytest.raises(VgilError, match=r"allowed|not readable as JSON"):
        load_calibration(path, JOINTS)
