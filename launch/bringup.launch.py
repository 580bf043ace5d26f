"""A robot out of its cradle, watched over, and at Ctrl-C back into it: only then its torque goes off."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, LIE_DOWN_S, declare, main_node, monitoring, prepare


def generate_launch_description() -> LaunchDescription:
    """The bring-up node ends the launch. The robot's own drivers are not started here."""
    return LaunchDescription(
        [
            *declare("robot", "leaders", "ceremony", *COMMON),
            prepare("bringup"),
            *monitoring(),
            main_node("bringup", "robot", "leaders", "ceremony", grace_s=LIE_DOWN_S),
        ]
    )
