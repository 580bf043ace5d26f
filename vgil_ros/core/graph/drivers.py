"""The driver nodes that a contract asks for: one for each port of its arms' buses, one for each USB camera."""

from __future__ import annotations

from dataclasses import dataclass

from vgil_ros.core.contract import Arm, Camera, Contract
from vgil_ros.core.contract.bus import ROLE_OF
from vgil_ros.core.errors import VgilError


@dataclass(frozen=True)
class DriverNode:
    """A node that drives one side of an arm.

    Attributes:
        name: what it is called; two of one executable must not have the same.
        arm, role: what it is told.
    """

    name: str
    arm: str
    role: str


def driver_nodes(contract: Contract) -> list[DriverNode]:
    """One for each port, in the order of the arms; named by the arm too where there are several."""
    several = len(contract.arms) > 1
    return [
        DriverNode(
            f"feetech_{arm.name}_{ROLE_OF[side]}" if several else f"feetech_{ROLE_OF[side]}", arm.name, ROLE_OF[side]
        )
        for arm in contract.arms
        for side, _ in (arm.bus.ports() if arm.bus else ())
    ]


def driven_arm(contract: Contract, name: str) -> Arm:
    """The arm of this name; without one the first that has a bus, or the first of all.

    Raises:
        VgilError: for a name that there is not.
    """
    names = [arm.name for arm in contract.arms]
    if name and name not in names:
        raise VgilError(f"arm '{name}' is none of robot '{contract.name}'; allowed: {names}")
    found = [arm for arm in contract.arms if arm.name == name or (not name and arm.bus is not None)]
    return found[0] if found else contract.arms[0]


def port_and_file(
    contract: Contract, arm: Arm, side: str, *, port: str = "", file: str = "", otherwise: str = ""
) -> tuple[str, str]:
    """The port of an arm's side, and its calibration file: what was given, or else the contract's.

    Args:
        contract, arm: whose.
        side: "puppet" or "master".
        port, file: what was given; empty: nothing.
        otherwise: what else an operator may give than the contract's, for the error.

    Raises:
        VgilError: where there is none.
    """
    port = port or (arm.bus.port(side) if arm.bus else None) or ""
    file = file or (arm.bus.calibration(side) if arm.bus else None) or ""
    if not port or not file:
        key = f"bus.{side}" if not port else f"bus.{side}_calibration"
        raise VgilError(f"robot '{contract.name}', arm '{arm.name}': no {key} in the contract; give it{otherwise}")
    return port, file


def webcams_of(contract: Contract) -> list[Camera]:
    """The cameras that a node of ours reads: those with a `device`."""
    return [camera for camera in contract.cameras if camera.device]


def webcam_of(camera: Camera) -> str:
    """The name of the node that reads a camera."""
    return f"webcam_{camera.name}"
