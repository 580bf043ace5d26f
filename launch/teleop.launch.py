"""Puppets follow masters; with `sim:=true` those of a simulated robot, led by its operator."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, leading, main_node, monitoring, prepare, side_node
from vgil_ros.nodes.launching.drivers import drivers, webcams


def generate_launch_description() -> LaunchDescription:
    """The teleop node ends the launch."""
    return LaunchDescription(
        [
            *declare("robot", "task", "sim", "seed", "speed", "sim_time", "scripted_operator", "leader", "drivers"),
            *declare(*COMMON),
            *declare("cameras", cameras="false"),  # they run beside the recorder: only one program can have a device
            prepare("teleop"),
            drivers(),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", "scripted_operator", when="sim"),
            webcams(),
            leading(),
            *monitoring(),
            main_node("teleop", "robot"),
        ]
    )
