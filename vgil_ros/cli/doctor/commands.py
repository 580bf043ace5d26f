"""`vgil doctor`: one line for each thing that a robot's computer needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgil_ros.cli.doctor import computer, network
from vgil_ros.cli.doctor.findings import Health
from vgil_ros.cli.report import JsonFile, write_json

COLORS = {"ok": "green", "warn": "yellow", "bad": "red"}


def examine(folder: Path) -> list[Health]:
    """Every check, in the order in which one would mend things."""
    environment = os.environ
    return [
        computer.python(),
        computer.ros(environment),
        *computer.extras(),
        computer.graphics(),
        *computer.shared_memory(environment),
        computer.disk(folder),
        computer.clock(),
        computer.priorities(),
        network.domain(environment),
        network.reach(environment),
        *network.company(),
    ]


def doctor(
    folder: Annotated[Path, typer.Option(help="where episodes go", exists=True, file_okay=False)] = Path(),
    json: JsonFile = None,
) -> None:
    """Look at this computer: ROS, transport, packages, GPU, disk, clock, domain. 1 where something is bad.

    A warning is something that some part of the package wants, and that may not matter here.
    """
    findings = examine(folder.absolute())
    table = Table(show_header=False)
    for one in findings:
        words = Text(one.words)
        if one.remedy:
            words.append(f"\n-> {one.remedy}", style="bold")
        table.add_row(
            Text(one.level, style=COLORS[one.level]), one.topic if "[" not in one.topic else Text(one.topic), words
        )
    Console().print(table)
    write_json(json, [one.as_dict() for one in findings])
    raise typer.Exit(1 if any(one.level == "bad" for one in findings) else 0)
