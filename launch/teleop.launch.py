"""Puppets follow masters; with `sim:=true` those of a simulated robot, led by its operator."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, leading, main_node, monitoring, prepare, side_node


def generate_launch_description() -> LaunchDescription:
    """The teleop node ends the launch."""
    return LaunchDescription(
        [
            *declare("robot", "task", "sim", "seed", "speed", "sim_time", "operator", "leader", *COMMON),
            prepare("teleop"),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", "operator", when="sim"),
            leading(),
            *monitoring(),
            main_node("teleop", "robot"),
        ]
    )
