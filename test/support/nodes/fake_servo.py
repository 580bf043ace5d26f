"""A pretended DYNAMIXEL X servo: its registers, how it moves, and when it switches itself off."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

EEPROM = ("Operating_Mode", "Current_Limit", "Drive_Mode", "Temperature_Limit")
POSITION_MODES = (3, 4, 5)
CURRENT_BASED = 5
OVERLOAD, OVERHEATING = 0x20, 0x04
OVERLOADED_AT, OVERLOADED_S = 500, 2.0  # units of current, and for how long
FAST, SAG = 4.0, 1.0  # rad/s: under torque, and as it falls without


def registers() -> dict[str, int]:
    """As from the factory, but for gains that somebody has changed."""
    return {
        "Operating_Mode": 3,
        "Current_Limit": 1193,
        "Drive_Mode": 0,
        "Temperature_Limit": 80,
        "Torque_Enable": 0,
        "Hardware_Error_Status": 0,
        "Position_P_Gain": 640,
        "Position_I_Gain": 20,
        "Position_D_Gain": 0,
        "Profile_Velocity": 131,
        "Profile_Acceleration": 0,
        "Goal_Current": 1193,
        "Present_Current": 0,
        "Present_Temperature": 35,
        "Present_Input_Voltage": 120,
    }


@dataclass
class Servo:
    """One servo; angles in rad.

    Attributes:
        position: where it is.
        rest: where it falls without torque; None: it stays, or a hand has it.
        stop: it cannot go below this, as the fingers meet.
        dead: its error stays, also after a reboot.
    """

    position: float
    rest: float | None = None
    stop: float | None = None
    dead: bool = False
    registers: dict[str, int] = field(default_factory=registers)

    def __post_init__(self) -> None:
        self.goal = self.position
        self._strained_s = 0.0

    @property
    def torque(self) -> bool:
        """Whether it is under torque."""
        return bool(self.registers["Torque_Enable"])

    def read(self, name: str) -> int | None:
        """A register; None for an unknown name, and from a servo in error, whose driver takes that for a failure."""
        return None if self.registers["Hardware_Error_Status"] else self.registers.get(name)

    def write(self, name: str, value: int) -> None:
        """Write a register, where that is allowed; nobody is told where it is not."""
        if name not in self.registers or (name in EEPROM and self.torque):
            return
        if name == "Torque_Enable":
            if value and self.registers["Hardware_Error_Status"]:
                return
            self.goal = self.position
        if name == "Operating_Mode":
            self.registers["Goal_Current"] = self.registers["Current_Limit"]
        self.registers[name] = value

    def command(self, radians: float) -> None:
        """A goal position; what is no number becomes the middle of the counts, as DYNAMIXEL Workbench has it."""
        if self.registers["Operating_Mode"] in POSITION_MODES:
            self.goal = 0.0 if math.isnan(radians) else radians

    def fail(self, bits: int) -> None:
        """Switch itself off."""
        self.registers["Hardware_Error_Status"] |= bits
        self.registers["Torque_Enable"] = 0

    def reboot(self) -> None:
        """Forget the error, where it is over; the torque is off afterwards."""
        self.registers["Hardware_Error_Status"] *= self.dead
        self.registers["Torque_Enable"] = 0
        self.goal, self._strained_s = self.position, 0.0

    def step(self, dt: float) -> None:
        """Move for a while."""
        if not self.torque:
            self._strained_s = 0.0
            if self.rest is not None:
                self.position += max(-SAG * dt, min(SAG * dt, self.rest - self.position))
            return
        if self.registers["Operating_Mode"] not in POSITION_MODES:
            return
        wanted = self.position + max(-FAST * dt, min(FAST * dt, self.goal - self.position))
        blocked = self.stop is not None and wanted < self.stop
        self.position = max(wanted, self.stop) if self.stop is not None else wanted
        self._strain(dt, blocked)

    def _strain(self, dt: float, blocked: bool) -> None:
        current = 0
        if blocked and abs(self.goal - self.position) > 0.03:
            limit = self.registers["Current_Limit"]
            current = min(limit, self.registers["Goal_Current"])
        self.registers["Present_Current"] = -current
        self._strained_s = self._strained_s + dt if current > OVERLOADED_AT else 0.0
        if self._strained_s > OVERLOADED_S:
            self.fail(OVERLOAD)
