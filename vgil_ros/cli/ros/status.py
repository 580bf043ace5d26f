"""`vgil status`: what the nodes that run say of themselves."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.cli.ros.call import Domain, Namespace, Timeout, join_domain
from vgil_ros.core.errors import VgilError
from vgil_ros.core.graph.service_names import namespaced
from vgil_ros.extras import needed_by

if TYPE_CHECKING:
    from vgil_ros.nodes.query.client import QueryClient

LEVELS = ("ok", "warn", "ERROR", "stale")
COLORS = ("green", "yellow", "red", "dim")
MORE_S = 0.7  # after the first status: they come five times a second
STALE_S = 2.0
NodeName = Annotated[str | None, typer.Argument(help="recorder, policy, ...: with all its figures", metavar="[NODE]")]


class Statuses:
    """The last status of each node, and when it came."""

    def __init__(self, namespace: str, node: str | None) -> None:
        self._begin = namespaced(namespace, "").rstrip("/") + "/"
        self._only = None if node is None else namespaced(namespace, node.strip("/"))
        self.last: dict[str, tuple[float, Any]] = {}

    def take(self, name: str, status: Any) -> None:
        """Take one of a node, by its full name."""
        if (self._only is None or name == self._only) and name.startswith(self._begin):
            self.last[name] = (time.monotonic(), status)

    def rows(self) -> list[dict[str, Any]]:
        """What is known of each node, by name."""
        now, found = time.monotonic(), []
        for name, (at, status) in sorted(self.last.items()):
            level = min(int.from_bytes(status.level, "little"), 3)
            row = {"node": name, "level": LEVELS[3 if now - at > STALE_S else level], "message": status.message}
            found.append(row | {"values": todays(status.values)})
        return found


def todays(pairs: Any) -> dict[str, str]:
    """A status' values without the keys of the release before, which stand beside today's."""
    from vgil_ros.nodes.base.status import deprecated_values

    values = {pair.key: pair.value for pair in pairs}
    return {key: value for key, value in values.items() if key not in deprecated_values(values)}


def status(
    node: NodeName = None,
    watch: Annotated[bool, typer.Option("--watch", help="go on until Ctrl-C")] = False,
    namespace: Namespace = "",
    domain_id: Domain = None,
    timeout: Timeout = 5.0,
    json: JsonFile = None,
) -> None:
    """Show the statuses of the nodes that run, of one with its figures. 1 where a node reports an error.

    For example: `vgil status`, `vgil status recorder --watch`, `vgil status policy --json status.json`.
    """
    join_domain(domain_id)
    with needed_by("vgil status"):
        from vgil_ros.nodes.query.client import QueryClient
    statuses = Statuses(namespace, node)
    with QueryClient() as client:
        look = client.hear_statuses(statuses.take)
        rows = _first(client, statuses, look, timeout)
        if not rows:
            what = "no node" if node is None else f"no node '{namespaced(namespace, node)}'"
            raise VgilError(f"{what} has told its status: waited {timeout:g} s; {client.seen()}")
        if watch:
            _watch(statuses, look, node is not None)
            rows = statuses.rows()
        else:
            Console().print(table(rows, figures=node is not None))
    write_json(json, rows)
    raise typer.Exit(1 if any(row["level"] == "ERROR" for row in rows) else 0)


def _first(client: QueryClient, statuses: Statuses, look: Any, seconds: float) -> list[dict[str, Any]]:
    def heard() -> bool:
        look()
        return bool(statuses.last)

    if client.wait(heard, seconds):
        end = time.monotonic() + MORE_S
        while time.monotonic() < end:
            look()
            time.sleep(0.05)
    return statuses.rows()


def _watch(statuses: Statuses, look: Any, figures: bool) -> None:
    with Live(table(statuses.rows(), figures=figures), refresh_per_second=4) as live:
        try:
            while True:
                time.sleep(0.25)
                look()
                live.update(table(statuses.rows(), figures=figures))
        except KeyboardInterrupt:
            return


def table(rows: list[dict[str, Any]], *, figures: bool) -> Table:
    """Nodes, their levels and messages; with `figures` each one's values too."""
    shown = Table()
    for heading in ("node", "level", "message"):
        shown.add_column(heading, overflow="fold")
    for row in rows:
        color = COLORS[LEVELS.index(row["level"])]
        shown.add_row(row["node"], Text(row["level"], style=color), Text(row["message"]))
        values: Mapping[str, str] = row["values"] if figures else {}
        for key, value in values.items():
            shown.add_row("", key, Text(value))
    return shown
