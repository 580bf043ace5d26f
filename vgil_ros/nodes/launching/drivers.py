"""Launching of a robot's own drivers: a `feetech` node for each port of its arms, a `webcam` for each USB camera."""

from __future__ import annotations

from typing import Any

from launch.actions import OpaqueFunction

from vgil_ros.assets import load_contract
from vgil_ros.core.contract.bus import ROLE_OF
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.drivers import driver_nodes, webcam_of, webcams_of
from vgil_ros.nodes.launching import arguments as launch_arguments
from vgil_ros.nodes.launching.actions import make_node, supervised


def drivers(*, main: bool = False, leaders: str | bool = True) -> OpaqueFunction:
    """The drivers of arms with a `bus`, unless the robot is simulated or `drivers:=false`.

    Leader arms' run only where they lead: with `leader:=...` something else does, and would have to compete with them.

    Args:
        main: whether they are what the launch is about; then it ends with the first of them.
        leaders: whether leader arms lead here; or the launch argument that says so, where no parameter file might.
    """
    return OpaqueFunction(function=_drivers, args=[main, leaders])


def _leads(given: Any, leaders: str | bool) -> bool:
    if launch_arguments.optional(given, "leader"):
        return False
    if isinstance(leaders, str):
        asked = launch_arguments.optional(given, leaders)
        return bool(asked) or (asked is None and bool(launch_arguments.optional(given, "params_file")))
    return leaders


def _drivers(context: Any, main: bool, leaders: str | bool) -> list[Any]:
    given = context.launch_configurations
    if launch_arguments.optional(given, "sim") or (not main and launch_arguments.optional(given, "drivers") is False):
        return []
    contract, _ = load_contract(given["robot"])
    found = driver_nodes(contract)
    if main and not found:
        context.extend_globals({"exit_code": 2})
        raise VgilError(
            f"robot '{contract.name}': no arm has a bus, so no driver of ours; allowed: one with arms[].bus"
        )
    actions = []
    for one in found:
        if one.role == ROLE_OF["master"] and not _leads(given, leaders):
            continue
        values = {"robot": given["robot"], "arm": one.arm, "role": one.role}
        actions += supervised(make_node(given, "feetech", values, name=one.name), one.name, main=main)
    return actions


def webcams() -> OpaqueFunction:
    """A webcam node for each camera of the contract that has a device, but for a simulated robot's."""
    return OpaqueFunction(function=_webcams)


def _webcams(context: Any) -> list[Any]:
    given = context.launch_configurations
    if launch_arguments.optional(given, "sim") or not launch_arguments.value(given, "cameras"):
        return []
    contract, _ = load_contract(given["robot"])
    actions = []
    for camera in webcams_of(contract):
        name = webcam_of(camera)
        node = make_node(given, "webcam", {"robot": given["robot"], "camera": camera.name}, name=name)
        actions += supervised(node, name, main=False)
    return actions
