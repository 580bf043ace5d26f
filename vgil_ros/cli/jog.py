"""`vgil jog`: move a robot's arms by hand, from a terminal of its own."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from vgil_ros.assets import load_contract
from vgil_ros.cli.launch import parse_arguments
from vgil_ros.cli.ros.call import Domain, Namespace, join_domain
from vgil_ros.core.graph.service_names import namespaced
from vgil_ros.extras import needed_by


def jog(
    robot: Annotated[str, typer.Argument(help="a robot's name in config/robots, or a path", metavar="ROBOT")],
    parameters: Annotated[
        list[str] | None, typer.Argument(help="parameters of the node jog, key:=value, such as device:=gamepad")
    ] = None,
    namespace: Namespace = "",
    domain_id: Domain = None,
    sim_time: Annotated[
        bool, typer.Option("--sim-time", help="follow /clock, as beside a simulator with sim_time:=true")
    ] = False,
) -> None:
    """Move arms with the keys of this terminal, or a gamepad: a master as any other, to teleop and recorder."""
    load_contract(robot)  # a wrong one is said before a process is started
    given = {"robot": robot, **parse_arguments(parameters or [])}
    join_domain(domain_id)
    with needed_by("vgil jog"):
        import rclpy  # noqa: F401
    command = [sys.executable, "-m", "vgil_ros.nodes.jog", "--ros-args"]
    for key, value in given.items():
        command += ["-p", f"{key}:={value}"]
    if namespace.strip("/"):
        command += ["-r", f"__ns:={namespaced(namespace, '')}".rstrip("/")]
    if sim_time:  # a simulator's clock lies in its namespace
        command += ["-p", "use_sim_time:=true", "-r", f"/clock:={namespaced(namespace, 'clock')}"]
    if sys.stdout.isatty() and given.get("device", "keyboard") == "keyboard":
        command += ["--disable-stdout-logs"]  # they stand above the panel
    sys.stdout.flush()
    os.execv(command[0], command)  # the node gives the terminal back by itself; nobody may end it before
