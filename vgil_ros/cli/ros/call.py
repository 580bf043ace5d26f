"""`vgil call`: one service of a node that runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import OFFERED_BY, SERVING, choose_service, elsewhere, meant_services
from vgil_ros.extras import needed_by
from vgil_ros.nodes.dds.profile import need_room

if TYPE_CHECKING:
    from vgil_ros.nodes.query.client import QueryClient

MORE_S = 0.7  # after the first node that offers the command: another may too

Namespace = Annotated[str, typer.Option(help="of the robot's nodes, where they have one: r2")]
Domain = Annotated[int | None, typer.Option(min=0, max=232, help="ROS domain; ROS_DOMAIN_ID if left out")]
Timeout = Annotated[float, typer.Option(min=0.1, help="seconds to wait for the node")]


def call(
    command: Annotated[str, typer.Argument(help=" | ".join(OFFERED_BY), metavar="COMMAND")],
    node: Annotated[str | None, typer.Option(help=f"{' | '.join(SERVING)}; the one that runs, if left out")] = None,
    release: Annotated[bool, typer.Option("--release", help="estop: release it instead")] = False,
    namespace: Namespace = "",
    domain_id: Domain = None,
    timeout: Timeout = 5.0,
) -> None:
    """Have a node start, stop, discard, ...: as `ros2 service call` does, without ros2cli. 1 where it refuses.

    For example: `vgil call start`, `vgil call stop --node teleop`, `vgil call estop`, `vgil call estop --release`.
    """
    meant = meant_services(command, node, namespace)
    if release and command != "estop":
        raise VgilError(f"--release is for the e-stop; '{command}' takes none")
    join_domain(domain_id)
    with needed_by("vgil call"):
        from std_srvs.srv import SetBool, Trigger

        from vgil_ros.nodes.query.client import QueryClient
    with QueryClient() as client:
        service = _find(client, command, node, meant, timeout)
        if command == "estop":
            response = client.call(SetBool, service, SetBool.Request(data=not release), timeout)
        else:
            response = client.call(Trigger, service, Trigger.Request(), timeout)
    typer.echo(f"{service}: {response.message}")
    raise typer.Exit(0 if response.success else 1)


def join_domain(domain: int | None) -> None:
    """Before ROS 2 is loaded: have this process be on a domain, where one was given.

    Raises:
        VgilError: shared memory is so full that loading it would end the process.
    """
    need_room()
    if domain is not None:
        os.environ["ROS_DOMAIN_ID"] = str(domain)


def _find(client: QueryClient, command: str, node: str | None, meant: tuple[str, ...], seconds: float) -> str:
    """The service to call, once it is there.

    Raises:
        VgilError: where none comes in time, or several do.
    """
    if len(meant) == 1 and client.wait(lambda: meant[0] in client.services(), seconds):
        return meant[0]
    if client.wait(lambda: any(name in client.services() for name in meant), seconds):
        end = time.monotonic() + MORE_S
        client.wait(lambda: time.monotonic() > end, MORE_S)
    offered = client.services()
    service = choose_service(command, meant, offered)
    if service is not None:
        return service
    spaces = elsewhere(command, node, offered)
    hint = f"; it is in another namespace: give --namespace {' or '.join(spaces)}" if spaces else ""
    raise VgilError(f"nobody offers {' or '.join(meant)}: waited {seconds:g} s{hint}; {client.seen()}")
