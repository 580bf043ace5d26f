"""Calibration of an arm by hand: the middle of each joint first, then both ends; into the servos and a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgil_ros.core.config import validate
from vgil_ros.core.errors import VgilError
from vgil_ros.robots.feetech.bringup import calibration_registers, find_faults, release
from vgil_ros.robots.feetech.bus import Bus, BusError
from vgil_ros.robots.feetech.calibration import LEAST, MotorCalibration
from vgil_ros.robots.feetech.readings import beyond_turn, beyond_turn_words
from vgil_ros.robots.feetech.registers import MULTI_TURN, PRESENT, REGISTERS, TURN

MIDDLE = TURN // 2 - 1  # what a joint reports in its middle; LeRobot has the same
LARGEST = 2047  # of a homing offset


class RangeRecorder:
    """The ends that joints have been at, ticks.

    Attributes:
        low, high: by joint.
        wrapped: joints that went over the end of a turn, from 4095 to 0 or back: their middle was not in the middle.
    """

    def __init__(self, joints: Sequence[str]) -> None:
        self.low: dict[str, int] = {}
        self.high: dict[str, int] = {}
        self.wrapped: set[str] = set()
        self._joints = tuple(joints)
        self._last: dict[str, int] = {}

    def update(self, ticks: Mapping[str, int]) -> None:
        """Take where joints are."""
        for joint, at in ticks.items():
            if abs(at - self._last.get(joint, at)) > TURN // 2:
                self.wrapped.add(joint)
            self._last[joint] = at
            self.low[joint] = min(self.low.get(joint, at), at)
            self.high[joint] = max(self.high.get(joint, at), at)

    def faults(self) -> list[str]:
        """Why this is no calibration, in words."""
        said = [
            f"{joint} went over the end of a turn; begin again with it in the middle of its range"
            for joint in self._joints
            if joint in self.wrapped
        ]
        for joint in self._joints:
            span = self.high.get(joint, 0) - self.low.get(joint, 0)
            if span < LEAST:
                said.append(f"{joint} was moved by {span} ticks; allowed: at least {LEAST}; move it to both ends")
        return said


class Calibrator:
    """An arm on an open port, on its way to a calibration.

    Args:
        bus: where it is.
        joints: in the order of their ids, from 1 on.

    Raises:
        BusError: with a line for each servo that is not as it should be.
    """

    def __init__(self, bus: Bus, joints: Sequence[str]) -> None:
        self.bus = bus
        self.motors = {
            joint: MotorCalibration(id=i, homing_offset=0, range_min=0, range_max=TURN - 1)
            for i, joint in enumerate(joints, 1)
        }
        bus.names = {motor.id: joint for joint, motor in self.motors.items()}
        if faults := find_faults(bus, self.motors, calibrated=False):
            raise BusError("\n".join(faults))
        self.ranges = RangeRecorder(joints)

    def let_go(self) -> None:
        """Torque off: the arm falls where nothing bears it."""
        release(self.bus, [motor.id for motor in self.motors.values()])

    def take_middle(self) -> list[str]:
        """Where the joints are now, is the middle of their ranges; return what else was changed in them, in words.

        Raises:
            BusError: where a servo does not take it, or stands outside a turn.
        """
        changed = []
        for joint, motor in self.motors.items():
            phase = self.bus.get(motor.id, REGISTERS["phase"])
            if phase & MULTI_TURN:
                self.bus.put(motor.id, REGISTERS["phase"], phase & ~MULTI_TURN)
                changed.append(f"{joint}: phase {phase} -> {phase & ~MULTI_TURN}")
            for name, value in calibration_registers(motor).items():  # as its encoder counts
                self.bus.put(motor.id, REGISTERS[name], value)
            at = self.bus.get(motor.id, REGISTERS["present_position"])
            if not 0 <= at < TURN:
                raise BusError(beyond_turn_words(self.bus, motor.id, at))
            offset = min(at - MIDDLE, LARGEST)  # of 2048, at the last tick of a turn, one is lacking
            self.bus.put(motor.id, REGISTERS["homing_offset"], offset)
            self.motors[joint] = motor.model_copy(update={"homing_offset": offset})
        return changed

    def look(self) -> dict[str, int]:
        """Where the joints are, ticks; those that answered count for the ranges.

        Raises:
            BusError: with a line for each joint outside a turn.
        """
        found = self.bus.sync_read([motor.id for motor in self.motors.values()], *PRESENT)
        if beyond := beyond_turn(found):
            raise BusError("\n".join(beyond_turn_words(self.bus, servo, ticks) for servo, ticks in beyond.items()))
        register = REGISTERS["present_position"]
        ticks = {
            joint: register.decode(found.answers[motor.id].data, PRESENT[0])
            for joint, motor in self.motors.items()
            if motor.id in found.answers
        }
        self.ranges.update(ticks)
        return ticks

    def finish(self) -> dict[str, MotorCalibration]:
        """The calibration, written into the servos.

        Raises:
            VgilError: where joints were not moved to both ends, or the ends are none that a servo can have; nothing is
                written then, and the servos hold their whole turn as the range.
        """
        if faults := self.ranges.faults():
            raise VgilError("\n".join(faults))
        motors = {}
        for joint, motor in self.motors.items():
            ends = {"range_min": self.ranges.low[joint], "range_max": self.ranges.high[joint]}
            motors[joint] = validate(MotorCalibration, motor.model_dump() | ends, self.bus.called(motor.id))
        for motor in motors.values():
            for name, value in calibration_registers(motor).items():
                self.bus.put(motor.id, REGISTERS[name], value)
        return motors
