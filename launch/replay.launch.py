"""Play a recorded episode's actions back to the robot; with `sim:=true` to the simulated one."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, main_node, monitoring, prepare, side_node
from vgil_ros.nodes.launching.drivers import drivers

REPLAY = ("robot", "episode", "dry_run", "max_age_ms", "soft_start")


def generate_launch_description() -> LaunchDescription:
    """The replay ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(*REPLAY, "task", "sim", "seed", "speed", "sim_time", "drivers", *COMMON),
            prepare("replay"),
            drivers(leaders=False),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", when="sim", fixed={"operator": False}),
            *monitoring(),
            main_node("replay", *REPLAY),
        ]
    )
