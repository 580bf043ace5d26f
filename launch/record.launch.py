"""Record demonstrations: the recorder, and with `sim:=true` a simulated robot, its operator and the teleoperation."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, declare, leading, main_node, monitoring, prepare, side_node

RECORDER = (
    *("robot", "task", "dataset_dir", "num_episodes", "episode_len", "autostart", "reset_time", "image_format"),
    *("continue_folder", "count_bad", "max_aborted", "wait_for_teleop"),
)


def generate_launch_description() -> LaunchDescription:
    """The recorder ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(*RECORDER),
            *declare("sim", "seed", "speed", "sim_time", "operator", "leader", "teleop", *COMMON),
            prepare("recorder"),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", "operator", when="sim"),
            side_node("teleop", "robot", when="teleop"),
            leading(),
            *monitoring(),
            main_node("recorder", *RECORDER),
        ]
    )
