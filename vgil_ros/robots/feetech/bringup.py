"""Bring-up of an arm's servos: who is there and fits the calibration, settings read back, torque without a jump.

Every fault is a line that names port, joint, id, what was found and what is allowed; with any, no torque goes on.
Settings are the field's (LeRobot's): position mode, a soft P gain, no delay before answers, half the gripper's torque.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vgil_ros.robots.feetech.bus import Bus, BusError, no_answer
from vgil_ros.robots.feetech.calibration import MotorCalibration
from vgil_ros.robots.feetech.registers import (
    EEPROM_END,
    MODEL,
    MULTI_TURN,
    PRESENT,
    REGISTERS,
    SETTINGS,
    VOLT,
    error_words,
)

Motors = Mapping[str, MotorCalibration]
STRANGERS = range(1, 13)  # ids that are looked at where one is missing: an arm that was not set up has other ones
OUTSIDE = 20  # ticks (0.03 rad) that a joint may stand beyond its range when its torque goes on
POSITION_MODE = 0

EEPROM_SETTINGS = {
    "return_delay_time": 0,
    "response_status_level": 1,
    "operating_mode": POSITION_MODE,
    "p_coefficient": 16,  # 32 from the factory, which shakes an arm
    "i_coefficient": 0,
    "d_coefficient": 32,
}
GRIPPER_SETTINGS = {"max_torque_limit": 500, "protection_current": 250, "overload_torque": 25}  # or it burns out
RAM_SETTINGS = {"maximum_acceleration": 254, "acceleration": 254, "goal_time": 0, "goal_velocity": 0}


def find_faults(bus: Bus, motors: Motors, *, calibrated: bool = True) -> list[str]:
    """What is wrong with the servos, in words; nothing is written.

    Args:
        bus: where they hang.
        motors: what should hang there.
        calibrated: whether what stands in them must be what the calibration says.

    Raises:
        PortLost: where the port has gone.
    """
    ids = [motor.id for motor in motors.values()]
    found = {servo: bus.ping(servo) for servo in ids}
    missing = [servo for servo in ids if servo not in found[servo].answers]
    doubled = [servo for servo in ids if found[servo].doubled]
    if len(missing) == len(ids) and not any(found[servo].broken for servo in ids):
        return [_nobody(bus, ids)]
    faults = [f"{bus.called(servo)}: two servos have this id; allowed: one; give each its own" for servo in doubled]
    faults += [f"{bus.called(servo)}: {no_answer(found[servo], servo)}" for servo in missing]
    strangers = [servo for servo in STRANGERS if missing and servo not in ids and bus.ping(servo, tries=1).answers]
    if strangers:
        faults.append(f"{bus.path}: the ids {strangers} answer, which no joint of the calibration has; allowed: {ids}")
    for joint, motor in motors.items():
        if motor.id not in (*missing, *doubled):
            faults += _servo_faults(bus, joint, motor, calibrated=calibrated)
    return faults


def _nobody(bus: Bus, ids: Sequence[int]) -> str:
    elsewhere = bus.answering_bauds(ids)
    if elsewhere:
        rates = "; ".join(f"ids {servos} answer at {baud}" for baud, servos in elsewhere.items())
        return f"{bus.path}: nobody answers at {bus.baud} baud, {rates}: set the contract's baud, or the servos'"
    return f"{bus.path}: none of the ids {list(ids)} answers; look at its power supply, and whether this is its port"


def _servo_faults(bus: Bus, joint: str, motor: MotorCalibration, *, calibrated: bool) -> list[str]:
    try:
        memory = bus.read(motor.id, 0, EEPROM_END)
        state = bus.read(motor.id, *PRESENT)
    except BusError as error:
        return [f"{error}; are there two servos with this id?"]
    model = REGISTERS["model"].decode(memory)
    called = bus.called(motor.id)
    if model != MODEL:
        return [f"{called}: its model number is {model}; allowed: {MODEL}, an STS3215"]
    errors = error_words(REGISTERS["status"].decode(state, PRESENT[0]))
    faults = [f"{called}: {words} ({_figures(state)}); allowed: no error" for words in errors]
    if calibrated:
        if (phase := REGISTERS["phase"].decode(memory)) & MULTI_TURN:
            faults.append(
                f"{called}: it counts several turns (multi-turn: phase is {phase}, with bit 0x{MULTI_TURN:02x});"
                " allowed: one turn; mend it with write_calibration:=true, or calibrate anew"
            )
        faults += [
            f"{called}: {name} is {found} in the servo and {wanted} in the calibration file: it is another arm's file,"
            " or the arm was calibrated anew; give its own file, or write this one with write_calibration:=true"
            for name, wanted in calibration_registers(motor).items()
            if (found := REGISTERS[name].decode(memory)) != wanted
        ]
    return faults


def _figures(state: bytes) -> str:
    values = {name: REGISTERS[f"present_{name}"].decode(state, PRESENT[0]) for name in ("voltage", "temperature")}
    return f"{values['voltage'] * VOLT:.1f} V, {values['temperature']} C"


def calibration_registers(motor: MotorCalibration) -> dict[str, int]:
    """Where a calibration stands in a servo."""
    return {
        "homing_offset": motor.homing_offset,
        "min_position_limit": motor.range_min,
        "max_position_limit": motor.range_max,
    }


def configure(bus: Bus, motors: Motors, grippers: Sequence[str], *, write_calibration: bool = False) -> list[str]:
    """Give the servos their settings, each read back; return what was changed, in words.

    A value that is right is not written: the EEPROM wears, and a joint that holds keeps its torque.

    Raises:
        BusError: where a servo does not take one.
    """
    changed = []
    for joint, motor in motors.items():
        wanted = dict(EEPROM_SETTINGS)
        ram = dict(RAM_SETTINGS)
        if joint in grippers:
            wanted |= GRIPPER_SETTINGS
            ram["torque_limit"] = GRIPPER_SETTINGS["max_torque_limit"]
        memory = bus.read(motor.id, 0, EEPROM_END)
        if write_calibration:
            wanted |= {"phase": REGISTERS["phase"].decode(memory) & ~MULTI_TURN} | calibration_registers(motor)
        lasting = {name: value for name, value in wanted.items() if REGISTERS[name].decode(memory) != value}
        if lasting:
            release(bus, [motor.id])
            for name, value in lasting.items():
                bus.put(motor.id, REGISTERS[name], value)
                changed.append(f"{joint}: {name} {REGISTERS[name].decode(memory)} -> {value}")
        for name, value in ram.items():
            if bus.get(motor.id, REGISTERS[name]) != value:
                bus.put(motor.id, REGISTERS[name], value)
    return changed


def release(bus: Bus, servos: Sequence[int]) -> None:
    """Torque off and the EEPROM open, read back."""
    for servo in servos:
        bus.put(servo, REGISTERS["torque_enable"], 0)
        bus.put(servo, REGISTERS["lock"], 0)


def torque_of(bus: Bus, servos: Sequence[int]) -> dict[int, bool]:
    """Which servos hold; without those that gave no answer."""
    found = bus.sync_read(servos, *SETTINGS)
    enable = REGISTERS["torque_enable"]
    return {servo: enable.decode(status.data, SETTINGS[0]) == 1 for servo, status in found.answers.items()}


def engage(bus: Bus, motors: Motors) -> list[str]:
    """Torque on where it is off, with the present position as the goal first: nothing moves. All read back.

    Returns:
        Faults in words, with which no torque was switched on.

    Raises:
        BusError: where a servo does not take it.
    """
    limp = {j: m for j, m in motors.items() if bus.get(m.id, REGISTERS["torque_enable"]) != 1}
    present = {j: bus.get(m.id, REGISTERS["present_position"]) for j, m in limp.items()}
    faults = [
        f"{bus.called(motor.id)}: stands at {present[joint]} ticks, outside its calibrated range {motor.range_min} to"
        f" {motor.range_max}: with torque it would jump; move it inside by hand, or calibrate anew"
        for joint, motor in limp.items()
        if not motor.range_min - OUTSIDE <= present[joint] <= motor.range_max + OUTSIDE
    ]
    if faults:
        return faults
    for joint, motor in limp.items():
        goal = min(max(present[joint], motor.range_min), motor.range_max)
        bus.put(motor.id, REGISTERS["goal_position"], goal)
        bus.put(motor.id, REGISTERS["torque_enable"], 1)
        bus.put(motor.id, REGISTERS["lock"], 1)
    return []
