"""What an arm's servos measure, out of one sync read: all of it, or none."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.robots.feetech.bus import Bus, Exchange, no_answer
from vgil_ros.robots.feetech.calibration import JointUnits
from vgil_ros.robots.feetech.registers import CURRENT_A, FULL_LOAD, PRESENT, REGISTERS, TURN, VOLT, error_words

WARM_C, HOT_C = 55, 65  # a servo switches itself off at 70
QUIET_CYCLES = 3  # without a whole reading in a row, before it is spoken of
WINDOW = 200  # cycles over which lost readings are counted
MANY = 0.02  # share of them that are lost, above which the cable is spoken of
_NAMES = ("position", "velocity", "load", "voltage", "temperature", "current")


@dataclass(frozen=True)
class Reading:
    """A whole reading, (J,) each.

    Attributes:
        position, velocity: rad, rad/s.
        load: share of the full torque, with its sign.
        voltage, temperature, current: V, degrees C, A.
        errors: error bits.
    """

    position: np.ndarray
    velocity: np.ndarray
    load: np.ndarray
    voltage: np.ndarray
    temperature: np.ndarray
    current: np.ndarray
    errors: np.ndarray

    def faults(self, joints: Sequence[str]) -> list[tuple[str, int]]:
        """Joints that are spoken of, with their error bits, 0 where one is only warm; without figures."""
        told = (self.errors != 0) | (self.temperature >= WARM_C)
        return [(joint, int(self.errors[i])) for i, joint in enumerate(joints) if told[i]]

    def words(self, joints: Sequence[str], ids: Sequence[int]) -> list[str]:
        """Error bits and heat of the joints in words; [] where all is well."""
        said = []
        for i, joint in enumerate(joints):
            at = f"{joint} (id {ids[i]})"
            if self.errors[i]:
                figures = f"{self.temperature[i]:.0f} C, {self.voltage[i]:.1f} V, load {self.load[i]:.0%}"
                said.append(f"{at}: {', '.join(error_words(int(self.errors[i])))} ({figures})")
            elif self.temperature[i] >= WARM_C:
                said.append(f"{at}: {self.temperature[i]:.0f} C; it switches itself off at 70, let it rest")
        return said


def beyond_turn(found: Exchange) -> dict[int, int]:
    """Servos that stand outside 0 to 4095 ticks in a sync read of `registers.PRESENT`, and where."""
    at = {s: REGISTERS["present_position"].decode(one.data, PRESENT[0]) for s, one in found.answers.items()}
    return {servo: ticks for servo, ticks in at.items() if not 0 <= ticks < TURN}


def beyond_turn_words(bus: Bus, servo: int, ticks: int) -> str:
    """What is said of a servo that stands outside a turn."""
    return (
        f"{bus.called(servo)}: stands at {ticks} ticks; allowed: 0 to {TURN - 1}, one turn; it counts several"
        " (multi-turn)? Run the calibration again; where that does not help, take its power away for a moment first"
    )


def take_reading(found: Exchange, ids: Sequence[int], units: JointUnits) -> Reading | None:
    """The reading in a sync read of `registers.PRESENT`; None where a servo's is missing or cannot be.

    Of two answers of a servo, one is late and of the cycle before.
    """
    if found.silent or found.doubled:
        return None
    data = [found.answers[servo].data for servo in ids]
    raw = {
        name: np.array([REGISTERS[f"present_{name}"].decode(one, PRESENT[0]) for one in data], np.float64)
        for name in _NAMES
    }
    if beyond_turn(found):
        return None
    bits = [found.answers[s].error | REGISTERS["status"].decode(found.answers[s].data, PRESENT[0]) for s in ids]
    return Reading(
        position=units.radians(raw["position"]),
        velocity=units.speeds(raw["velocity"]),
        load=raw["load"] / FULL_LOAD,
        voltage=raw["voltage"] * VOLT,
        temperature=raw["temperature"],
        current=raw["current"] * CURRENT_A,
        errors=np.array(bits),
    )


class LinkQuality:
    """How many readings are whole, and who spoils the others."""

    def __init__(self) -> None:
        self._lost: deque[bool] = deque(maxlen=WINDOW)
        self.row = 0  # cycles without a whole reading, up to now
        self._culprits: deque[int] = deque(maxlen=WINDOW)

    def add(self, found: Exchange, *, whole: bool) -> None:
        """Take a cycle."""
        self._lost.append(not whole)
        self.row = 0 if whole else self.row + 1
        self._culprits += found.silent

    @property
    def share(self) -> float:
        """Share of the last cycles without a whole reading."""
        return sum(self._lost) / max(len(self._lost), 1)

    def faults(self, found: Exchange, bus: Bus) -> dict[str, str]:
        """What is wrong with the line, if it lasts, by what it is about; of a single lost packet nothing is said."""
        if self.row >= QUIET_CYCLES:
            if len(found.silent) == len(bus.names) and not found.broken:
                return {"servos": f"{bus.path}: no servo answers; look at the arm's power supply and the adapter"}
            said = {bus.names[servo]: f"{bus.called(servo)}: {no_answer(found, servo)}" for servo in found.silent}
            said |= {bus.names[s]: beyond_turn_words(bus, s, ticks) for s, ticks in beyond_turn(found).items()}
            return said or {"readings": f"{bus.path}: readings that no servo can have; look at the cable"}
        if self.share > MANY and len(self._lost) == WINDOW and self._culprits:
            worst = max(set(self._culprits), key=self._culprits.count)
            return {
                "cable": f"{bus.path}: {self.share:.0%} of the readings are lost, most by {bus.names.get(worst, worst)}"
                f" (id {worst}); look at the cables before it"
            }
        return {}
