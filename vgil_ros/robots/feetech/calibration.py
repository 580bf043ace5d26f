"""A calibration file in LeRobot's format: what an arm's ticks mean.

One entry a motor: `id`, `drive_mode`, `homing_offset`, `range_min`, `range_max`. The homing offset stands in the servo
itself, which takes it off what it reports (present = actual - offset, in a turn of 4096 ticks): it must not be taken
off again. `range_min` and `range_max` are ticks as reported, and stand in the servo as its position limits.

In radians a joint's zero is the middle of its range, where the SO-101's URDF ("new calibration") and LeRobot's degrees
have it; a gripper is counted from `range_min`, where it is closed, as LeRobot's 0..100 is. `drive_mode` 1 turns a
joint's direction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from vgil_ros.core.config import StrictModel, load_json, validate
from vgil_ros.core.contract.rules import Count
from vgil_ros.core.errors import VgilError
from vgil_ros.core.files import write_whole
from vgil_ros.robots.feetech.registers import RAD, TURN

LEAST = 50  # ticks: a range so small is no joint's
HOW = "make it with `vgil robot calibrate`, or LeRobot's lerobot-calibrate"


class MotorCalibration(StrictModel):
    """A motor's entry, ticks."""

    id: Count = Field(ge=0, le=253)
    drive_mode: Count = Field(default=0, ge=0, le=1)
    homing_offset: Count = Field(ge=-2047, le=2047)
    range_min: Count = Field(ge=0, le=TURN - 1)
    range_max: Count = Field(ge=0, le=TURN - 1)

    @model_validator(mode="after")
    def _has_a_range(self) -> MotorCalibration:
        if self.range_max - self.range_min < LEAST:
            raise ValueError(
                f"range_min is {self.range_min} and range_max {self.range_max}; allowed: at least {LEAST} ticks between"
            )
        return self


def load_calibration(path: str | Path, joints: Sequence[str]) -> dict[str, MotorCalibration]:
    """Return the entries of an arm's joints, in their order.

    Raises:
        VgilError: the file is not there or not valid, or does not have just these joints, each with an id of its own.
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise VgilError(f"calibration '{path}': no such file; {HOW}")
    values = load_json(file)
    if not isinstance(values, dict) or not values:
        raise VgilError(f"{file}: found {type(values).__name__}; allowed: an entry for each of {list(joints)}; {HOW}")
    if set(values) != set(joints):
        raise VgilError(f"{file}: has the motors {sorted(values)}; allowed: the contract's joints {list(joints)}")
    motors = {joint: validate(MotorCalibration, values[joint], f"{file}: {joint}") for joint in joints}
    ids: dict[int, str] = {}
    for joint, motor in motors.items():
        if motor.id in ids:
            raise VgilError(f"{file}: {ids[motor.id]} and {joint} both have id {motor.id}; allowed: each id once")
        ids[motor.id] = joint
    return motors


def save_calibration(path: Path, motors: Mapping[str, MotorCalibration]) -> None:
    """Write a file that LeRobot reads too; what was there before is replaced only by a whole one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({joint: motor.model_dump() for joint, motor in motors.items()}, indent=4)
    write_whole(path, text + "\n")


@dataclass(frozen=True)
class JointUnits:
    """Ticks of an arm's joints in radians, and back, (J,) each.

    Attributes:
        lower, upper: the calibrated range, rad.
    """

    zero: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    _low_tick: np.ndarray
    _high_tick: np.ndarray

    def radians(self, ticks: np.ndarray) -> np.ndarray:
        """(J,) rad."""
        result: np.ndarray = (ticks - self.zero) * self.scale + self.offset
        return result

    def ticks(self, radians: np.ndarray) -> np.ndarray:
        """(J,) whole ticks within the calibrated range."""
        ticks = np.rint((radians - self.offset) / self.scale + self.zero)
        result: np.ndarray = np.clip(ticks, self._low_tick, self._high_tick).astype(np.int64)
        return result

    def speeds(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks per second (J,) as rad/s."""
        result: np.ndarray = ticks * self.scale
        return result


def joint_units(motors: Mapping[str, MotorCalibration], closed: Mapping[str, float]) -> JointUnits:
    """The units of an arm.

    Args:
        motors: its calibration, in the order of its joints.
        closed: for grippers, what closed is called, rad.
    """
    low = np.array([motor.range_min for motor in motors.values()], np.float64)
    high = np.array([motor.range_max for motor in motors.values()], np.float64)
    turned = np.array([motor.drive_mode == 1 for motor in motors.values()])
    gripper = np.array([joint in closed for joint in motors])
    scale = np.where(turned, -RAD, RAD)
    zero = np.where(gripper, np.where(turned, high, low), (low + high) / 2)
    offset = np.array([closed.get(joint, 0.0) for joint in motors])
    ends = np.stack([(low - zero) * scale + offset, (high - zero) * scale + offset])
    return JointUnits(zero, scale, offset, ends.min(axis=0), ends.max(axis=0), low, high)
