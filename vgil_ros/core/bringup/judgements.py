"""What an Interbotix driver says of its motors, judged: against the contract, and by the registers' own meaning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vgil_ros.core.bringup.units import Unit

ERROR_BITS = {0: "input voltage", 2: "overheating", 3: "encoder", 4: "electrical shock", 5: "overload"}
MODES = {"position": 3, "current_based_position": 5, "ext_position": 4, "pwm": 16}  # Operating_Mode, by its name
GRIPPER_MODES = ("current_based_position", "position")  # those in which a gripper takes rad
SLACK = 0.01  # rad, rad/s: limits come as float32, and the contract rounds them
LOW_VOLTS = 11.0  # of 12; a servo switches itself off at its own limit


def names_wrong(unit: Unit, info: Mapping[str, Any]) -> str | None:
    """How the driver's joints differ from the contract's: group commands go by position."""
    found = list(info.get("joint_names", ()))
    if found == list(unit.joints):
        return None
    return (
        f"{unit.name}: its driver commands the joints {found}; the contract's, without the gripper: {list(unit.joints)}"
    )


def limits_wrong(unit: Unit, info: Mapping[str, Any]) -> list[str]:
    """Where a follower's contract lets a joint go farther, or faster, than its driver's URDF does."""
    words = []
    limits = unit.arm.limits
    found = zip(
        info.get("joint_names", ()),
        info.get("joint_lower_limits", ()),
        info.get("joint_upper_limits", ()),
        info.get("joint_velocity_limits", ()),
        strict=False,
    )
    for joint, low, high, fastest in found:
        if joint not in unit.joints or low >= high:
            continue
        at = unit.arm.joints.index(joint)
        if limits.lower[at] < low - SLACK or limits.upper[at] > high + SLACK:
            ours = f"{limits.lower[at]:g} to {limits.upper[at]:g}"
            words.append(f"{unit.name}: {joint} may go from {ours}; the driver's limits are {low:.4g} to {high:.4g}")
        if fastest > 0 and limits.velocity[at] > fastest + SLACK:
            words.append(f"{unit.name}: {joint} may go {limits.velocity[at]:g} a second; the driver's is {fastest:.4g}")
    return words


def register(answer: Mapping[str, Any] | None, count: int = 1) -> tuple[int, ...] | None:
    """The values of a register; None where a motor did not give its own: an empty answer is how a driver says so."""
    values = tuple(int(value) for value in (answer or {}).get("values", ()))
    return values if len(values) == count else None


def error_words(status: int | None) -> str | None:
    """A motor's Hardware_Error_Status in words; None where it is well, and None given where it could not be read."""
    if status is None:
        return "does not answer, or has switched itself off (its driver gives no register of it)"
    if status == 0:
        return None
    bits = [words for bit, words in ERROR_BITS.items() if status & (1 << bit)]
    return f"has switched itself off: {', '.join(bits) or 'unknown'} (Hardware_Error_Status 0x{status:02x})"


def mode_wrong(space: str, gripper: str, mode: str) -> str | None:
    """Why a gripper in an operating mode must not be commanded in rad; None where it may be."""
    if mode in GRIPPER_MODES:
        return None
    unit = {"linear_position": "metres", "pwm": "PWM"}.get(mode, "something else")
    return (
        f"{space}: its {gripper} is in mode '{mode}' and takes {unit}, the contract commands rad; nothing is sent."
        f" Allowed: {' or '.join(GRIPPER_MODES)}; `vgil launch bringup.launch.py` sets it"
    )


def differing(values: Sequence[int | None], wanted: int) -> list[int]:
    """Indices of the values that are not what is wanted."""
    return [i for i, value in enumerate(values) if value != wanted]
