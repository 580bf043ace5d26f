"""Run a trained policy; with `sim:=true` on the simulated robot. `dry_run:=true` computes and shows, sends nothing."""

from launch import LaunchDescription
from vgil_ros.nodes.launching.actions import COMMON, WORDS, declare, leading, main_node, monitoring, prepare, side_node
from vgil_ros.nodes.launching.drivers import drivers, webcams

POLICY = ("robot", "task", "checkpoint", "remote_mapping", "device", "precision", "autostart", "dry_run")
EXECUTION = ("execution", "inference_period", "ensemble_coefficient", "watchdog_ms", "max_age_ms", "soft_start")
TAKEOVER = ("takeover", "takeover_gripper")
SIMULATED = ("seed", "speed", "sim_time", "scripted_operator")
ROLLOUTS = ("dataset_dir", "num_episodes", "episode_len", "reset_time", *WORDS)


def generate_launch_description() -> LaunchDescription:
    """The policy ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(
                *(*POLICY, *EXECUTION, *ROLLOUTS, *TAKEOVER, "sim", "leader", "cameras", "drivers"),
                *(*SIMULATED, *COMMON),
                scripted_operator="false",
            ),
            prepare("policy"),
            drivers(leaders="takeover"),
            side_node("sim", "robot", "task", *SIMULATED, when="sim"),
            webcams(),
            leading(),
            *monitoring(),
            main_node("policy", *POLICY, *EXECUTION, *ROLLOUTS, *TAKEOVER),
        ]
    )
