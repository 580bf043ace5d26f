"""`vgil web`: the operator's page without a robot, for episodes, runs and reports."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.extras import need

Folder = Annotated[Path, typer.Option(help="folder of episodes, or of folders of episodes")]
Runs = Annotated[Path, typer.Option(help="folder of training runs")]
Host = Annotated[str, typer.Option(help="where to listen; 0.0.0.0: on every network, with a token in the link")]
Port = Annotated[int, typer.Option(min=0, max=65535, help="0: a free one, which is said")]
Names = Annotated[list[str] | None, typer.Option("--name", help="a further name of the page: of a reverse proxy")]
OperateToken = Annotated[str, typer.Option(envvar="VGIL_OPERATE_TOKEN", help="made anew if left out")]
LookToken = Annotated[str, typer.Option(envvar="VGIL_LOOK_TOKEN", help="of the link that looks on only")]


def web(
    dataset_dir: Folder = Path("episodes"),
    runs_dir: Runs = Path("runs"),
    host: Host = "127.0.0.1",
    port: Port = 8420,
    name: Names = None,
    operate_token: OperateToken = "",
    look_token: LookToken = "",
) -> None:
    """Open the operator's page for what needs no robot: episodes, training runs, reports. Ctrl-C ends it."""
    need("vgil web", "nicegui")
    from vgil_ros.web.server import WebServer
    from vgil_ros.web.settings import WebSettings
    from vgil_ros.web.site import Site

    episodes, runs = (folder.expanduser().absolute() for folder in (dataset_dir, runs_dir))
    server = WebServer(Site(WebSettings(host, port, episodes, runs, tuple(name or ()), operate_token, look_token)))
    server.run_until_interrupted(partial(print, flush=True))
