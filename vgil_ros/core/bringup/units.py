"""The arms behind a robot's drivers, and the calls that reach their motors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vgil_ros.core.bringup.steps import ANSWER_S, Call
from vgil_ros.core.contract import Arm, Contract

PACKAGE = "interbotix_xs_msgs/srv"
ARM_GROUP = "arm"  # Interbotix' name of an arm's joints without its gripper


@dataclass(frozen=True)
class Unit:
    """One arm behind one `xs_sdk`.

    Attributes:
        name: "left/puppet" or "left/master".
        space: its driver's namespace, "/follower_left".
        arm: in the contract.
        leads: whether it is a leader.
        shadows: motors beside those of the joints.
    """

    name: str
    space: str
    arm: Arm
    leads: bool
    shadows: tuple[str, ...]

    @property
    def gripper(self) -> str | None:
        """The gripper's motor."""
        return self.arm.gripper.joint if self.arm.gripper else None

    @property
    def joints(self) -> tuple[str, ...]:
        """The arm's joints without the gripper, in the order of its commands."""
        return tuple(joint for joint in self.arm.joints if joint != self.gripper)

    @property
    def motors(self) -> tuple[str, ...]:
        """Every motor, as its driver calls it."""
        return (*self.arm.joints, *self.shadows)

    def info(self, motor: str | None = None) -> Call:
        """Ask for names, limits and modes: of the arm, or of one motor."""
        return self._call("get_robot_info", "RobotInfo", motor)

    def read(self, register: str, motor: str | None = None, within_s: float = ANSWER_S) -> Call:
        """Read a register: of every joint of the arm, or of one motor."""
        return self._call("get_motor_registers", "RegisterValues", motor, within_s, reg=register)

    def write(self, register: str, value: int, motor: str | None = None) -> Call:
        """Write a register."""
        return self._call("set_motor_registers", "RegisterValues", motor, reg=register, value=value)

    def torque(self, on: bool, motor: str | None = None) -> Call:
        """Switch the torque."""
        return self._call("torque_enable", "TorqueEnable", motor, enable=on)

    def reboot(self, motor: str) -> Call:
        """Reboot one motor; its torque stays off."""
        return self._call("reboot_motors", "Reboot", motor, enable=False, smart_reboot=False)

    def mode(self, mode: str, velocity: int, acceleration: int, motor: str | None = None) -> Call:
        """Set the operating mode; the driver switches the torque off for it, and on afterwards."""
        return self._call(
            "set_operating_modes",
            "OperatingModes",
            motor,
            mode=mode,
            profile_type="velocity",
            profile_velocity=velocity,
            profile_acceleration=acceleration,
        )

    def _call(self, service: str, kind: str, motor: str | None, within_s: float = ANSWER_S, **fields: Any) -> Call:
        what = ("group", ARM_GROUP) if motor is None else ("single", motor)
        request = {"cmd_type": what[0], "name": what[1], **fields}
        return Call(f"{self.space}/{service}", f"{PACKAGE}/{kind}", request, within_s)


def units_of(contract: Contract, *, leaders: bool) -> tuple[Unit, ...]:
    """The arms of a robot whose driver is Interbotix', followers first; none where it is another."""
    driver = contract.driver
    if driver is None:
        return ()
    followers = tuple(
        Unit(f"{arm.name}/puppet", namespace_of_commands(arm.command.topic), arm, False, driver.shadows)
        for arm in contract.arms
    )
    if not leaders:
        return followers
    masters = ((arm, arm.master) for arm in contract.arms)
    return followers + tuple(
        Unit(f"{arm.name}/master", master.topic.rsplit("/", 1)[0], arm, True, driver.shadows)
        for arm, master in masters
        if master is not None
    )


def namespace_of_commands(topic: str) -> str:
    """The namespace of the `xs_sdk` that listens on a `NAME/commands/joint_group`."""
    return topic.rsplit("/", 2)[0]
