"""Run a trained policy; with `sim:=true` on the simulated robot. `dry_run:=true` computes and shows, sends nothing."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, WORDS, declare, main_node, monitoring, prepare, side_node
from vgil_ros.nodes.launching.drivers import drivers, webcams

POLICY = ("robot", "task", "checkpoint", "remote_mapping", "device", "precision", "autostart", "dry_run")
EXECUTION = ("execution", "inference_period", "ensemble_coefficient", "watchdog_ms", "max_age_ms", "soft_start")
ROLLOUTS = ("dataset_dir", "num_episodes", "episode_len", "reset_time", *WORDS)


def generate_launch_description() -> LaunchDescription:
    """The policy ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(*POLICY, *EXECUTION, *ROLLOUTS, "sim", "seed", "speed", "sim_time", "cameras", "drivers", *COMMON),
            prepare("policy"),
            drivers(),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", when="sim", fixed={"operator": False}),
            webcams(),
            *monitoring(),
            main_node("policy", *POLICY, *EXECUTION, *ROLLOUTS),
        ]
    )
