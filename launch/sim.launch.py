"""The simulated robot by itself; `scripted_operator:=true` lets its scripted operator move the masters."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, main_node, monitoring, prepare


def generate_launch_description() -> LaunchDescription:
    """The simulator ends the launch."""
    return LaunchDescription(
        [
            *declare("robot", "task", "seed", "speed", "sim_time", "scripted_operator", *COMMON),
            prepare("sim"),
            *monitoring(),
            main_node("sim", "robot", "task", "seed", "speed", "sim_time", "scripted_operator"),
        ]
    )
