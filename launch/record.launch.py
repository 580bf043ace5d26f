"""Record demonstrations: recorder and webcams, or with `sim:=true` a simulated robot, its operator and its teleop."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, WORDS, declare, leading, main_node, monitoring, prepare, side_node
from vgil_ros.nodes.launching.drivers import drivers, webcams

RECORDER = (
    *("robot", "task", "dataset_dir", "num_episodes", "episode_len", "autostart", "reset_time", "image_format"),
    *("continue_folder", "count_bad", "max_aborted", "wait_for_teleop", "jpeg_order", "raw_log"),
    *WORDS,
)
SIMULATED = ("seed", "speed", "sim_time", "scripted_operator")


def generate_launch_description() -> LaunchDescription:
    """The recorder ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(*RECORDER, "sim", *SIMULATED, "leader", "teleop", "cameras", "drivers", *COMMON),
            prepare("recorder"),
            drivers(),
            side_node("sim", "robot", "task", *SIMULATED, when="sim"),
            side_node("teleop", "robot", when="teleop"),
            webcams(),
            leading(),
            *monitoring(),
            main_node("recorder", *RECORDER),
        ]
    )
