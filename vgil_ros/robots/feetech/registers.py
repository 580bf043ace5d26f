"""The registers of an STS3215: addresses, sizes, sign bits, units and error bits.

Source: Feetech's memory table of the STS series. Signed values are a magnitude with a sign bit of their own, not two's
complement. Up to `EEPROM_END` values live in the EEPROM and outlast a loss of power; they are written with torque off
and the lock open.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

MODEL = 777  # an STS3215's model number, whatever its gear and voltage
TURN = 4096  # ticks of a whole turn; LeRobot's degrees divide by 4095 (0.02 % less)
RAD = 2 * math.pi / TURN  # of a tick
EEPROM_END = 40
CURRENT_A = 0.0065  # of a step of present_current
VOLT = 0.1  # of a step of present_voltage
MULTI_TURN = 0x10  # bit of `phase`: positions go on beyond a turn, above 4095 and below 0
FULL_LOAD = 1000  # present_load, torque_limit: a thousandth of the full torque each


@dataclass(frozen=True)
class Register:
    """A value in a servo.

    Attributes:
        address, size: where it is, and how many bytes it has.
        sign: the bit that says that it is below 0; None for one that never is.
    """

    name: str
    address: int
    size: int
    sign: int | None = None

    def encode(self, value: int) -> bytes:
        """Its bytes.

        Raises:
            ValueError: for a value that it cannot hold.
        """
        most = (1 << (8 * self.size if self.sign is None else self.sign)) - 1
        if not (-most if self.sign is not None else 0) <= value <= most:
            raise ValueError(f"{self.name} cannot hold {value}; allowed: up to {most}")
        raw = abs(value) | ((1 << self.sign) if self.sign is not None and value < 0 else 0)
        return raw.to_bytes(self.size, "little")

    def decode(self, data: bytes, begin: int = 0) -> int:
        """Its value, out of bytes that were read from address `begin` on."""
        at = self.address - begin
        raw = int.from_bytes(data[at : at + self.size], "little")
        if self.sign is None:
            return raw
        value = raw & ((1 << self.sign) - 1)
        return -value if raw >> self.sign & 1 else value


def _table(*rows: tuple[str, int, int] | tuple[str, int, int, int]) -> dict[str, Register]:
    return {row[0]: Register(*row) for row in rows}


REGISTERS = _table(
    ("firmware_major", 0, 1),
    ("firmware_minor", 1, 1),
    ("model", 3, 2),
    ("id", 5, 1),
    ("baud_rate", 6, 1),
    ("return_delay_time", 7, 1),
    ("response_status_level", 8, 1),
    ("min_position_limit", 9, 2),
    ("max_position_limit", 11, 2),
    ("max_temperature_limit", 13, 1),
    ("max_voltage_limit", 14, 1),
    ("min_voltage_limit", 15, 1),
    ("max_torque_limit", 16, 2),
    ("phase", 18, 1),
    ("p_coefficient", 21, 1),
    ("d_coefficient", 22, 1),
    ("i_coefficient", 23, 1),
    ("protection_current", 28, 2),
    ("homing_offset", 31, 2, 11),
    ("operating_mode", 33, 1),
    ("protective_torque", 34, 1),
    ("protection_time", 35, 1),
    ("overload_torque", 36, 1),
    ("torque_enable", 40, 1),
    ("acceleration", 41, 1),
    ("goal_position", 42, 2, 15),
    ("goal_time", 44, 2),
    ("goal_velocity", 46, 2, 15),
    ("torque_limit", 48, 2),
    ("lock", 55, 1),
    ("present_position", 56, 2, 15),
    ("present_velocity", 58, 2, 15),
    ("present_load", 60, 2, 10),
    ("present_voltage", 62, 1),
    ("present_temperature", 63, 1),
    ("status", 65, 1),
    ("moving", 66, 1),
    ("present_current", 69, 2, 15),
    ("maximum_acceleration", 85, 1),
)
BAUD_RATES = {1_000_000: 0, 500_000: 1, 250_000: 2, 128_000: 3, 115_200: 4, 57_600: 5, 38_400: 6, 19_200: 7}
PRESENT = (56, 15)  # address and bytes of all that a servo measures: position to current
SETTINGS = (40, 16)  # of what it is told: torque, goal, limits, lock
ERRORS = {
    0x01: "voltage out of its limits",
    0x02: "position sensor faulty",
    0x04: "too hot",
    0x08: "too much current",
    0x20: "overload",
}


def error_words(bits: int) -> list[str]:
    """Error bits in words."""
    known = [words for bit, words in ERRORS.items() if bits & bit]
    rest = bits & ~sum(ERRORS)
    return known + ([f"error bits 0x{rest:02x}"] if rest else [])
