"""`vgil episodes replay`: an episode's actions on a robot, by the node `replay`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from vgil_ros.extras import need


def replay(
    file: Annotated[Path, typer.Argument(help="an episode file of any layout")],
    robot: Annotated[str, typer.Option(help="a robot's name in config/robots, or a path")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="compute everything, send nothing")] = False,
) -> None:
    """Send an episode's actions to a robot, through the safety limits: slowly to the first, then one a tick."""
    need("vgil episodes replay", "rclpy")
    command = [sys.executable, "-m", "vgil_ros.nodes", "replay", "--ros-args"]
    for key, value in (("robot", robot), ("episode", str(file.absolute())), ("dry_run", str(dry_run).lower())):
        command += ["-p", f"{key}:={value}"]
    raise typer.Exit(subprocess.run(command, check=False).returncode)
