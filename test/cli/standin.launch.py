"""Stand-in processes under the supervision of the real launch files: `main` ends the launch, `side` runs beside it."""

import sys
from pathlib import Path
from typing import Any

from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction

from launch import LaunchDescription  # type: ignore[attr-defined]
from vgil_ros.nodes.launching.actions import supervised

NODE = Path(__file__).with_name("standin_node.py")


def _start(context: Any) -> list[Any]:
    given = context.launch_configurations
    found = []
    for name in ("side", "main"):
        cmd = [sys.executable, str(NODE), given["notes"], name, *given[name].split()]
        process = ExecuteProcess(cmd=cmd, name=name, output="screen", sigterm_timeout="0.7", sigkill_timeout="0.7")
        found += supervised(process, name, main=name == "main")
    return found


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument("notes", description="file that takes what happened"),
            DeclareLaunchArgument("main", default_value="0.5 0", description="seconds, exit code, habits"),
            DeclareLaunchArgument("side", default_value="60 0", description="seconds, exit code, habits"),
            DeclareLaunchArgument("colour", default_value="red", choices=["red", "green"]),
            OpaqueFunction(function=_start),
        ]
    )
