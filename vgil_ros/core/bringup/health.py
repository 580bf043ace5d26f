"""The health of motors: read once a second, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vgil_ros.core.bringup.judgements import LOW_VOLTS, error_words, register
from vgil_ros.core.bringup.steps import Answer, Steps
from vgil_ros.core.bringup.units import Unit
from vgil_ros.core.contract import InterbotixDriver

WITHIN_S = 3.0  # that a driver may take for one register: joint states that fail to come hold long before


@dataclass(frozen=True)
class Finding:
    """Something about a motor: `holds` where the robot must not be moved."""

    words: str
    holds: bool


@dataclass
class Health:
    """What one look at all motors found.

    Attributes:
        findings: what is not as it should be.
        figures: for the status: the hottest motor of each unit, its volts, and the grippers' currents.
    """

    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def holds(self) -> str:
        """In words: why the robot must not be moved; "" where it may be."""
        return "; ".join(finding.words for finding in self.findings if finding.holds)

    @property
    def warns(self) -> str:
        """In words: what else to know of."""
        return "; ".join(finding.words for finding in self.findings if not finding.holds)


def look(units: Sequence[Unit], driver: InterbotixDriver) -> Steps[Health]:
    """Read errors, temperatures, torque, currents and volts of every unit.

    A leader is moved by hand: what is wrong with one is told, and holds nothing. An arm whose driver does not answer,
    or whose servos all do not, is named once and not motor by motor.
    """
    health = Health()
    for unit in units:
        yield from _look_at(unit, driver, health)
    return health


def _look_at(unit: Unit, driver: InterbotixDriver, health: Health) -> Steps[None]:
    def find(words: str) -> None:
        health.findings.append(Finding(words, not unit.leads))

    answer = yield unit.read("Hardware_Error_Status", within_s=WITHIN_S)
    if answer is None:
        find(f"{unit.name}: its driver does not answer ({unit.space}/get_motor_registers)")
        return
    statuses = yield from _each(unit, "Hardware_Error_Status", answer)
    if all(status is None for status in statuses.values()):
        find(f"{unit.name}: none of its motors answers: cable, power, or an emergency stop")
        return
    for motor, status in statuses.items():
        if (words := error_words(status)) is not None:
            find(f"{unit.name}/{motor} {words}")
    degrees = yield from _each(unit, "Present_Temperature")
    for motor, value in degrees.items():
        if value is not None and value >= driver.hot:
            find(f"{unit.name}/{motor} is at {value} C; allowed: below {driver.hot:g}. Let it cool")
        elif value is not None and value >= driver.warm:
            health.findings.append(Finding(f"{unit.name}/{motor} is at {value} C, warm from {driver.warm:g} on", False))
    yield from _measure(unit, {m: v for m, v in degrees.items() if v is not None}, health)
    if not unit.leads:
        torque = yield from _each(unit, "Torque_Enable")
        if limp := [motor for motor, value in torque.items() if value == 0 and motor not in unit.shadows]:
            names = ", ".join(f"{unit.name}/{motor}" for motor in limp)
            find(f"{names}: torque is off, as after a restart of its driver; bring the robot up again")


def _each(unit: Unit, name: str, answer: Answer = None) -> Steps[dict[str, int | None]]:
    """A register of every motor: the arm's in one call where that gives all, else one by one."""
    if answer is None:
        answer = yield unit.read(name, within_s=WITHIN_S)
    found: dict[str, int | None] = {}
    values = register(answer, len(unit.joints))
    if values is not None:
        found = dict(zip(unit.joints, values, strict=True))
    for motor in unit.motors:
        if motor not in found:
            one = register((yield unit.read(name, motor, within_s=WITHIN_S)))
            found[motor] = None if one is None else one[0]
    return found


def _measure(unit: Unit, degrees: dict[str, int], health: Health) -> Steps[None]:
    """Figures for the status; a kind of motor that does not measure one of them leaves it out."""
    key = unit.name.replace("/", "_")
    if degrees:
        hottest = max(degrees, key=lambda motor: degrees[motor])
        health.figures[f"temperature_{key}"], health.figures[f"hottest_{key}"] = degrees[hottest], hottest
    probe = unit.joints[0] if unit.joints else unit.motors[0]
    volts = register((yield unit.read("Present_Input_Voltage", probe, within_s=WITHIN_S)))
    if volts is not None:
        health.figures[f"volts_{key}"] = volts[0] / 10
        if volts[0] / 10 < LOW_VOLTS:
            health.findings.append(Finding(f"{unit.name}: {volts[0] / 10:g} V; allowed: {LOW_VOLTS:g} or more", False))
    if unit.gripper is not None and not unit.leads:
        current = register((yield unit.read("Present_Current", unit.gripper, within_s=WITHIN_S)))
        if current is not None:
            health.figures[f"gripper_current_{key}"] = current[0]
