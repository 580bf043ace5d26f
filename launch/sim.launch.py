"""The simulated robot by itself; `operator:=true` lets its scripted operator move the masters."""

from launch import LaunchDescription
from vgil_ros.nodes.bringup.actions import declare, main_node, monitoring, prepare


def generate_launch_description() -> LaunchDescription:
    """The simulator ends the launch."""
    return LaunchDescription(
        [
            *declare("robot", "task", "params_file", "seed", "speed", "sim_time", "operator", "rviz", operator="false"),
            prepare(),
            *monitoring(),
            main_node("sim", "robot", "task", "seed", "speed", "sim_time", "operator"),
        ]
    )
