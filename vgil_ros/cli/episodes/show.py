"""`vgil episodes show`: what one episode says of itself, and with `--stats` its statistics."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgil_ros.cli.episodes.options import LayoutName, bar_of_rows, known_layout
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.statistics import statistics
from vgil_ros.episodes.summary import describe

TABLES = {"columns": "column", "streams": "stream", "cameras": "camera"}
Stats = Annotated[
    bool, typer.Option("--stats", help="Also ranges, means and spreads of all numbers, of streams and images.")
]


def show(file: Path, layout: LayoutName = None, stats: Stats = False, json: JsonFile = None) -> None:
    """Show what an episode says of itself: attributes, cameras, datasets, ranges of joints."""
    with naming_file(file), EpisodeReader(file, layout=known_layout(layout)) as episode:
        description = describe(episode)
        if stats:
            description["statistics"] = statistics(episode, bar_of_rows("images"))
    write_json(json, description)
    for key, value in description.items():
        if key == "statistics":
            continue
        if isinstance(value, dict):
            typer.echo(f"{key}:")
            for name, inner in value.items():
                typer.echo(f"  {name}: {_short(inner)}")
        else:
            typer.echo(f"{key}: {_short(value)}")
    if stats:
        _print_statistics(description["statistics"])


def _print_statistics(found: Mapping[str, Any]) -> None:
    typer.echo(f"ticks: {_short(found['ticks'])}")
    screen = Console()
    console = screen if screen.is_terminal else Console(width=160)
    for key, heading in TABLES.items():
        rows: Mapping[str, Mapping[str, Any]] = found[key]
        if not rows:
            continue
        table = Table()
        table.add_column(heading, overflow="fold")
        for name in next(iter(rows.values())):
            table.add_column(name, justify="right")
        for name, figures in rows.items():
            table.add_row(Text(_short(name)), *(Text(_short(value)) for value in figures.values()))
        console.print(table)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return ", ".join(_short(item) for item in value)
    if isinstance(value, dict):
        return "; ".join(f"{key} {_short(item)}" for key, item in value.items() if item is not None)
    return "unknown" if value is None else "".join(letter if letter.isprintable() else " " for letter in str(value))
