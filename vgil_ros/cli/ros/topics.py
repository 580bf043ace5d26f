"""`vgil topics`: a robot's topics as they are, held against its contract."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from tqdm import tqdm

from vgil_ros.assets import load_contract
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.cli.ros.call import Domain, Namespace, join_domain
from vgil_ros.core.graph.service_names import namespaced
from vgil_ros.extras import needed_by


def topics(
    robot: Annotated[str, typer.Option(help="a contract in config/robots, or a path")],
    seconds: Annotated[float, typer.Option(min=1.0, help="how long to listen")] = 3.0,
    namespace: Namespace = "",
    domain_id: Domain = None,
    json: JsonFile = None,
) -> None:
    """Listen to each topic of a robot's contract: who publishes it, type, rate, size. 1 where one differs.

    It reads messages as the recorder does, and says what the recorder would. For example: `vgil topics --robot aloha`.
    """
    contract, _ = load_contract(robot)
    join_domain(domain_id)
    with needed_by("vgil topics"):
        from vgil_ros.nodes.query.inspection import inspect_topics
    with tqdm(total=round(seconds, 1), desc="listening", unit="s", disable=None, leave=False) as bar:
        space = namespaced(namespace, "").rstrip("/")
        reports = inspect_topics(contract, space, seconds, lambda passed: bar.update(passed - bar.n))
    shown = Table()
    for heading in ("stream", "topic", "from", "type", "Hz", "content", "verdict"):
        shown.add_column(heading, overflow="fold")
    for one in reports:
        rate = "" if one.rate_hz is None else f"{one.rate_hz:g}"
        verdict = Text(one.verdict, style="red" if one.bad else "")
        kind = one.type.replace("/msg/", "/")
        shown.add_row(one.stream, one.topic, "\n".join(one.publishers), kind, rate, one.content, verdict)
    console = Console()
    (console if console.is_terminal else Console(width=200)).print(shown)
    write_json(json, [one.as_dict() for one in reports])
    raise typer.Exit(1 if any(one.bad for one in reports) else 0)
