"""The bring-up of arms behind Interbotix' `xs_sdk`: ALOHA's opening ceremony, with every step read back.

Its services answer "done" whatever happened: a register of EEPROM is refused under torque, a wrong name is no name.
What already is as it should be is left alone, so that a second bring-up lets no raised arm sag.
Source of the order and the values: Interbotix/aloha's `opening_ceremony` and `sleep.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

from vgil_ros.core.bringup.judgements import (
    MODES,
    differing,
    error_words,
    limits_wrong,
    mode_wrong,
    names_wrong,
    register,
)
from vgil_ros.core.bringup.steps import BringupError, Call, CloseGrippers, Move, Say, Steps, answered
from vgil_ros.core.bringup.units import ARM_GROUP, Unit
from vgil_ros.core.contract import Contract, InterbotixDriver

TORQUE = "Torque_Enable"
GAINS = ("Position_P_Gain", "Position_I_Gain", "Position_D_Gain")


def wake(contract: Contract, units: Sequence[Unit], *, ceremony: bool) -> Steps[None]:
    """From arms in their cradles to followers that hold their start pose, and leaders in the operator's hands.

    Args:
        contract: the robot; its driver is Interbotix'.
        units: its arms.
        ceremony: wait for closed leader grippers before the leaders lose their torque.

    Raises:
        BringupError: for whatever is not as it should be, by the motor's name.
    """
    driver = contract.driver
    assert driver is not None
    followers, leaders = [u for u in units if not u.leads], [u for u in units if u.leads]
    for unit in units:
        yield from compare(unit)
    for unit in units:
        yield from mend_motors(unit, driver)
    for unit in followers:
        yield from set_follower(unit, driver)
    for unit in leaders:
        if driver.leaders == "gravity_compensation":  # of a bring-up before: it would go on commanding currents
            yield from compensate_gravity(unit, False)
        yield from set_modes(unit, driver, "position")
        yield from set_torque(unit, True)
    yield Say("every motor is set and read back; the arms go to their start pose")
    yield Move("wake", bool(leaders))
    if leaders:
        yield from hand_over(leaders, driver, ceremony=ceremony)


def lie_down(contract: Contract, units: Sequence[Unit]) -> Steps[None]:
    """Home, the sleep pose, and only then the torque off.

    Raises:
        BringupError: where a motor is not as it should be; the torque stays on then.
    """
    driver = contract.driver
    assert driver is not None
    leaders = [unit for unit in units if unit.leads]
    for unit in units:
        if not unit.leads:
            yield from still_up(unit)
    for unit in leaders:
        if driver.leaders == "gravity_compensation":
            try:
                yield from compensate_gravity(unit, False)
            except BringupError as error:  # the arm is to lie down all the same
                yield Say(f"{error}; {unit.name} lies down without it")
        yield from set_modes(unit, driver, "position")
        yield from set_torque(unit, True)
    yield Move("sleep", bool(leaders))
    for unit in units:
        yield from set_torque(unit, False)
        yield Say(f"{unit.name}: torque off")


def still_up(unit: Unit) -> Steps[None]:
    """See that a follower may be moved: its torque is on, and what it takes is rad."""
    for joint in unit.arm.joints:
        torque = yield from read_twice(unit, TORQUE, joint)
        if torque is None:
            raise BringupError(f"{unit.name}/{joint} {error_words(None)}; bring the robot up first")
        if torque != 1:
            raise BringupError(f"{unit.name}/{joint}: torque is off; bring the robot up first")
    for motor, called in ((None, ARM_GROUP), *([(unit.gripper,) * 2] if unit.gripper else [])):
        mode = (yield from answered(unit.info(motor)))["mode"]
        if (words := mode_wrong(unit.space, called, mode)) is not None:
            raise BringupError(words)


def compare(unit: Unit) -> Steps[None]:
    """Hold a driver's joints and limits against the contract's."""
    info = yield from answered(unit.info())
    wrong = [words] if (words := names_wrong(unit, info)) is not None else []
    if not wrong and not unit.leads:
        wrong = limits_wrong(unit, info)
    if wrong:
        raise BringupError("; ".join(wrong) + ". Mend the contract")


def mend_motors(unit: Unit, driver: InterbotixDriver) -> Steps[None]:
    """Reboot the motors that have switched themselves off, and refuse those that stay so or are hot."""
    for motor in unit.motors:
        words = error_words((yield from read_twice(unit, "Hardware_Error_Status", motor)))
        if words is not None:
            yield Say(f"{unit.name}/{motor} {words}: rebooting it")
            yield from answered(unit.reboot(motor))
            words = error_words((yield from read_twice(unit, "Hardware_Error_Status", motor)))
            if words is not None:
                raise BringupError(f"{unit.name}/{motor} {words}, also after a reboot: cable, power, or a dead motor")
        degrees = yield from read_one(unit, "Present_Temperature", motor)
        if degrees is not None and degrees >= driver.hot:
            raise BringupError(f"{unit.name}/{motor} is at {degrees} C; allowed: below {driver.hot:g}. Let it cool")


def set_follower(unit: Unit, driver: InterbotixDriver) -> Steps[None]:
    """Modes, the gripper's force, gains, torque."""
    yield from set_modes(unit, driver, "current_based_position")
    if unit.gripper is not None and driver.gripper_current is not None:
        yield from set_eeprom(unit, unit.gripper, "Current_Limit", driver.gripper_current)
    for name, value in zip(GAINS, driver.position_gains or (), strict=False):
        yield from set_registers(unit, name, value)
    yield from set_torque(unit, True)


def set_modes(unit: Unit, driver: InterbotixDriver, gripper_mode: str) -> Steps[None]:
    """The arm in mode position, the gripper in the one given; motors that are in it already are left alone."""
    profile = (driver.profile_velocity, driver.profile_acceleration)
    modes = yield from read_arm(unit, "Operating_Mode")
    if (yield from answered(unit.info()))["mode"] != "position" or differing(modes, MODES["position"]):
        yield from answered(unit.mode("position", *profile))
        modes = yield from read_arm(unit, "Operating_Mode")
        if wrong := differing(modes, MODES["position"]):
            raise BringupError(_not_taken(unit, [unit.joints[i] for i in wrong], "mode position"))
    for name, value in zip(("Profile_Velocity", "Profile_Acceleration"), profile, strict=True):
        yield from set_registers(unit, name, value)
    gripper = unit.gripper
    if gripper is None:
        return
    if (yield from answered(unit.info(gripper)))["mode"] != gripper_mode:
        yield from answered(unit.mode(gripper_mode, *profile, motor=gripper))
    found = (yield from answered(unit.info(gripper)))["mode"]
    if found != gripper_mode or (yield from read_one(unit, "Operating_Mode", gripper)) != MODES[gripper_mode]:
        raise BringupError(_not_taken(unit, [gripper], f"mode {gripper_mode}"))


def set_eeprom(unit: Unit, motor: str, name: str, value: int) -> Steps[None]:
    """A register that is locked under torque: torque off, written, torque on, read back."""
    if (yield from read_one(unit, name, motor)) == value:
        return
    yield from answered(unit.torque(False, motor))
    yield from answered(unit.write(name, value, motor))
    found = yield from read_one(unit, name, motor)
    yield from answered(unit.torque(True, motor))
    if found != value:
        raise BringupError(_not_taken(unit, [motor], f"{name} {value}") + f" (it reads {found})")


def set_registers(unit: Unit, name: str, value: int) -> Steps[None]:
    """A register of every joint of an arm, written where it differs and read back."""
    if not differing((yield from read_arm(unit, name)), value):
        return
    yield from answered(unit.write(name, value))
    if wrong := differing((yield from read_arm(unit, name)), value):
        raise BringupError(_not_taken(unit, [unit.joints[i] for i in wrong], f"{name} {value}"))


def set_torque(unit: Unit, on: bool) -> Steps[None]:
    """The torque of a whole unit, read back of every motor."""
    yield from answered(unit.torque(on))
    if unit.gripper is not None:
        yield from answered(unit.torque(on, unit.gripper))
    for joint in unit.arm.joints:
        if (yield from read_one(unit, TORQUE, joint)) != int(on):
            raise BringupError(_not_taken(unit, [joint], f"torque {'on' if on else 'off'}"))


def hand_over(leaders: Sequence[Unit], driver: InterbotixDriver, *, ceremony: bool) -> Steps[None]:
    """The leaders become the operator's: once he has them by their grippers they lose their torque."""
    for unit in leaders:
        if unit.gripper is not None:
            yield from answered(unit.torque(False, unit.gripper))
    if ceremony and any(unit.gripper is not None for unit in leaders):
        yield Say("take the leaders by their grippers and close them all: then the leaders lose their torque")
        yield CloseGrippers()
    for unit in leaders:
        if driver.leaders == "gravity_compensation":
            yield from compensate_gravity(unit, True)
        else:
            yield from set_torque(unit, False)


def compensate_gravity(unit: Unit, on: bool) -> Steps[None]:
    """Interbotix' gravity compensation, a node of its own beside the driver."""
    call = Call(f"{unit.space}/gravity_compensation_enable", "std_srvs/srv/SetBool", {"data": on})
    answer = yield from answered(call)
    if not answer["success"]:
        raise BringupError(f"{call.service} failed: {answer['message'] or 'it does not say why'}; see its own log")


def read_one(unit: Unit, name: str, motor: str) -> Steps[int | None]:
    """A register of one motor, None where it gives none."""
    values = register((yield from answered(unit.read(name, motor))))
    return None if values is None else values[0]


def read_twice(unit: Unit, name: str, motor: str) -> Steps[int | None]:
    """As `read_one`, asked again where it gives none: one answer that was lost on its way is no fault of a motor."""
    found = yield from read_one(unit, name, motor)
    return found if found is not None else (yield from read_one(unit, name, motor))


def read_arm(unit: Unit, name: str) -> Steps[list[int | None]]:
    """A register of every joint of the arm; one by one where the group gives none, as the first bad motor ends it."""
    values = register((yield from answered(unit.read(name))), len(unit.joints))
    if values is not None:
        return list(values)
    found: list[int | None] = []
    for joint in unit.joints:
        found.append((yield from read_one(unit, name, joint)))
    return found


def _not_taken(unit: Unit, motors: Sequence[str], what: str) -> str:
    names = ", ".join(f"{unit.name}/{motor}" for motor in motors)
    return f"{names}: {what} was not taken, though the driver said so; look at the driver's log"
