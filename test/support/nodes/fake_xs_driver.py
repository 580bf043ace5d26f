"""What Interbotix' real driver was found to make of its services, over pretended servos; without ROS.

Its services answer "done" whatever happened; registers are known by their exact names; a servo in error gives none; a
reboot keeps it busy for a second; a mode is set with the torque off, and on again; an unknown motor ends it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from support.nodes.fake_servo import OVERHEATING, Servo

ARM = ("waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate")
JOINTS = (*ARM, "gripper")
LOWER = (-3.14158, -1.85005, -1.76278, -3.14158, -1.86750, -3.14158)
UPPER = (3.14158, 1.25664, 1.60570, 3.14158, 2.23402, 3.14158)
SLEEP = (0.0, -2.05, 1.7, 0.0, -2.0, 0.0)
SISTERS = {"shoulder": "shoulder_shadow", "elbow": "elbow_shadow"}
MODES = {"position": 3, "linear_position": 3, "ext_position": 4, "current_based_position": 5, "pwm": 16}
FINGERS_MEET = 0.58  # rad, of a follower
HORN, ROD = 0.022, 0.036  # m, of the gripper's linkage
HAND = 2.5  # rad/s
MODE_S, REBOOT_S = 0.05, 1.0


class UnknownMotor(Exception):
    """`std::out_of_range`: nobody catches it there."""


def linear_to_radian(metres: float) -> float:
    """As the driver converts a finger's travel; what no linkage can reach is no number."""
    half = metres / 2
    cosine = (HORN**2 + half**2 - ROD**2) / (2 * HORN * half) if half else math.inf
    return math.nan if abs(cosine) > 1 else math.pi / 2 - math.acos(cosine)


class XsDriver:
    """One arm's driver and its servos.

    Args:
        leads: whether the arm is a leader.
        wait: called with the seconds for which it is busy.
    """

    def __init__(self, *, leads: bool, wait: Callable[[float], None] = time.sleep) -> None:
        self.leads, self.wait = leads, wait
        rest = SLEEP if not leads else (None,) * 6
        self.servos = {joint: Servo(at, rest=low) for joint, at, low in zip(ARM, SLEEP, rest, strict=True)}
        self.servos["gripper"] = Servo(0.1 if leads else 0.9, stop=None if leads else FINGERS_MEET)
        self.servos |= {shadow: Servo(self.servos[joint].position) for joint, shadow in SISTERS.items()}
        self.modes = dict.fromkeys(self.servos, "position")
        self.group_mode = "position"
        self.set_mode("gripper", "pwm" if leads else "linear_position", torque=False)
        self.hand: list[float] | None = None
        self.unplugged = False

    def step(self, dt: float) -> None:
        """Let the servos move for a while."""
        for servo in self.servos.values():
            servo.step(dt)
        for joint, to in zip(JOINTS, self.hand or (), strict=False):
            servo = self.servos[joint]
            if not servo.torque:
                servo.position += max(-HAND * dt, min(HAND * dt, to - servo.position))
        for joint, shadow in SISTERS.items():
            self.servos[shadow].position = self.servos[joint].position

    def positions(self) -> list[float]:
        """What can be read of the joints, rad."""
        return [-math.pi if self.unplugged else self.servos[joint].position for joint in JOINTS]

    def obey(self, line: str) -> None:
        """What happens to the arm (see `support.nodes.fake_xs_sdk`)."""
        what, *values = line.split()
        if what in ("unplug", "plug"):
            self.unplugged = what == "unplug"
        elif what == "hand":
            self.hand = [float(part) for part in values[0].split(",")]
        elif what == "hot":
            self.servos[values[0]].registers["Present_Temperature"] = int(values[1])
        elif what in ("off", "dead"):
            self.servos[values[0]].dead = what == "dead"
            self.servos[values[0]].fail(OVERHEATING)
        elif what == "cool":
            for servo in self.servos.values():
                servo.dead, servo.registers["Present_Temperature"] = False, 35

    def command_group(self, values: list[float]) -> None:
        """A command to the arm; one of another length is not executed."""
        if len(values) == len(ARM) and not self.unplugged:
            for joint, value in zip(ARM, values, strict=True):
                self.servos[joint].command(value)

    def command_single(self, joint: str, value: float) -> None:
        """A command to one joint, in the unit of its mode."""
        if not self.unplugged:
            self.servos[joint].command(linear_to_radian(value) if self.modes[joint] == "linear_position" else value)

    def motors(self, request: Any) -> tuple[str, ...]:
        """The joints that a request is about."""
        if request.cmd_type == "group":
            return ARM if request.name == "arm" else JOINTS
        if request.name not in self.servos:
            raise UnknownMotor(request.name)
        return (request.name,)

    def get_robot_info(self, request: Any) -> dict[str, Any]:
        """Names, limits and the mode that it remembers; no servo is asked."""
        names = self.motors(request)
        known = [ARM.index(joint) if joint in ARM else None for joint in names]
        return {
            "mode": self.modes[names[0]] if request.cmd_type == "single" else self.group_mode,
            "profile_type": "velocity",
            "joint_names": list(names),
            "num_joints": len(names),
            "joint_lower_limits": [0.0 if i is None else LOWER[i] for i in known],
            "joint_upper_limits": [0.0 if i is None else UPPER[i] for i in known],
            "joint_velocity_limits": [math.pi] * len(names),
            "joint_sleep_positions": [0.0 if i is None else SLEEP[i] for i in known],
        }

    def set_mode(self, joint: str, mode: str, *, torque: bool = True, profile: tuple[int, int] = (0, 0)) -> None:
        """A joint and the motor beside it: torque off, the mode, torque on."""
        for name in (joint, *([SISTERS[joint]] if joint in SISTERS else [])):
            servo = self.servos[name]
            servo.write("Torque_Enable", 0)
            servo.write("Operating_Mode", MODES[mode])
            if MODES[mode] == MODES["position"]:
                servo.write("Profile_Velocity", profile[0])
                servo.write("Profile_Acceleration", profile[1])
            servo.write("Torque_Enable", int(torque))
            self.modes[name] = mode

    def set_operating_modes(self, request: Any) -> dict[str, Any]:
        """Operating modes, one joint after the other; an unknown mode changes nothing."""
        for joint in self.motors(request):
            self.wait(MODE_S)
            profile = (request.profile_velocity, request.profile_acceleration)
            if request.mode in MODES and not self.unplugged:
                self.set_mode(joint, request.mode, profile=profile)
        if request.cmd_type == "group":
            self.group_mode = request.mode
        return {}

    def _write(self, joint: str, name: str, value: int) -> None:
        """Write a register; the motor beside a joint hears what is written to that one."""
        for one in (joint, SISTERS.get(joint)):
            if one is not None and not self.unplugged:
                self.servos[one].write(name, value)

    def torque_enable(self, request: Any) -> dict[str, Any]:
        """Torque."""
        for joint in self.motors(request):
            self._write(joint, "Torque_Enable", int(request.enable))
        return {}

    def reboot_motors(self, request: Any) -> dict[str, Any]:
        """A reboot: nothing else happens meanwhile."""
        for joint in self.motors(request):
            if request.smart_reboot and not self.servos[joint].registers["Hardware_Error_Status"]:
                continue
            self.wait(REBOOT_S)
            self.servos[joint].reboot()
            self.servos[joint].write("Torque_Enable", int(request.enable))
        return {}

    def get_motor_registers(self, request: Any) -> dict[str, Any]:
        """Registers; nothing at all where one servo does not give its own."""
        values = [None if self.unplugged else self.servos[joint].read(request.reg) for joint in self.motors(request)]
        return {"values": [] if None in values else values}

    def set_motor_registers(self, request: Any) -> dict[str, Any]:
        """Registers."""
        for joint in self.motors(request):
            self._write(joint, request.reg, request.value)
        return {}
