"""An arm on a serial bus in the contract: ports and calibration files, from which the launch files start its driver."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from vgil_ros.core.config import StrictModel
from vgil_ros.core.contract.rules import Count, one_spelling

FilePath = Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f][^\x00-\x1f]*$", max_length=1000)]
ROLES = {"follower": "puppet", "leader": "master"}  # what an arm is called beside its side of the contract
ROLE_OF = {side: role for role, side in ROLES.items()}
SIDES = tuple(ROLE_OF)


class SerialBus(StrictModel):
    """Servos that hang at this computer itself: the node `feetech` is their driver, one for each port.

    Attributes:
        puppet, master: the ports, best names under /dev/serial/by-id; none for an arm that another driver serves.
        puppet_calibration, master_calibration: files in LeRobot's format.
        baud: of the ports.
    """

    type: Literal["feetech"]
    puppet: FilePath | None = None
    master: FilePath | None = None
    puppet_calibration: FilePath | None = None
    master_calibration: FilePath | None = None
    baud: Count = Field(default=1_000_000, ge=9600, le=1_000_000)

    @model_validator(mode="before")
    @classmethod
    def _aliases(cls, values: object) -> object:
        return one_spelling(values, ROLES | {f"{k}_calibration": f"{v}_calibration" for k, v in ROLES.items()})

    @model_validator(mode="after")
    def _consistent(self) -> SerialBus:
        if not any(self.ports()):
            raise ValueError("neither puppet nor master has a port; allowed: one or both")
        for side, port in self.ports():
            if self.calibration(side) is None:
                raise ValueError(f"{side} is '{port}' and {side}_calibration is missing; it must be given")
        return self

    def port(self, side: str) -> str | None:
        """The port of a side ("puppet", "master")."""
        return self.puppet if side == "puppet" else self.master

    def calibration(self, side: str) -> str | None:
        """The calibration file of a side."""
        return self.puppet_calibration if side == "puppet" else self.master_calibration

    def ports(self) -> Iterator[tuple[str, str]]:
        """Each (side, port) that there is."""
        for side in SIDES:
            if (port := self.port(side)) is not None:
                yield side, port


def check_bus(bus: SerialBus | None, command_type: str, *, has_master: bool) -> None:
    """Raise a ValueError where an arm's bus does not fit the rest of the arm."""
    if bus is None:
        return
    if bus.puppet is not None and command_type != "joint_state":
        raise ValueError(f"bus.puppet is given and command.type is '{command_type}'; allowed: joint_state")
    if bus.master is not None and not has_master:
        raise ValueError("bus.master is given and the arm has no master; allowed: with a master's topic alone")


def check_served(
    bus: SerialBus | None, joints: Sequence[str], names: Mapping[str, Sequence[str]], gripper: StrictModel | None
) -> None:
    """Raise a ValueError where the driver of an arm's bus cannot serve the arm.

    Args:
        bus, joints, gripper: the arm's.
        names: the joints' names in the messages of each side.
    """
    for side, _ in bus.ports() if bus else ():
        given = f"bus.{side} is given"
        if list(names[side]) != list(joints):
            raise ValueError(
                f"{side}.joints is {list(names[side])} and {given}, whose driver names joints as the arm does; allowed:"
                f" {list(joints)}, or no {side}.joints"
            )
        if gripper is None:
            continue
        closed, opened = getattr(gripper, f"{side}_range")
        if closed > opened:
            raise ValueError(
                f"gripper.{side}_range is {[closed, opened]} and {given}, whose driver counts up from closed; allowed:"
                " the smaller value first, for closed"
            )
        for key in ("command", "feedback") if side == "puppet" else ():
            if getattr(gripper, key) is not None:
                raise ValueError(
                    f"gripper.{key} and {given}, whose driver has the gripper as one of the arm's joints; allowed: one"
                    " of them"
                )


def no_shared_ports(buses: Iterable[SerialBus | None]) -> None:
    """Raise a ValueError that names both keys of a port that two arms, or two sides, have."""
    keys: dict[str, str] = {}
    for i, bus in enumerate(buses):
        for side, port in bus.ports() if bus else ():
            key = f"arms[{i}].bus.{side}"
            if port in keys:
                raise ValueError(f"{key} is '{port}', which {keys[port]} is too; allowed: each port once")
            keys[port] = key
