"""The driver nodes that a contract asks for: one for each port of its arms' buses, one for each USB camera."""

from __future__ import annotations

from dataclasses import dataclass

from vgil_ros.core.contract import Camera, Contract

ROLES = {"puppet": "follower", "master": "leader"}


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
        DriverNode(f"feetech_{arm.name}_{ROLES[side]}" if several else f"feetech_{ROLES[side]}", arm.name, ROLES[side])
        for arm in contract.arms
        for side, _ in (arm.bus.ports() if arm.bus else ())
    ]


def webcams_of(contract: Contract) -> list[Camera]:
    """The cameras that a node of ours reads: those with a `device`."""
    return [camera for camera in contract.cameras if camera.device]


def webcam_of(camera: Camera) -> str:
    """The name of the node that reads a camera."""
    return f"webcam_{camera.name}"
