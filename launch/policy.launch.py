"""Run a trained policy; with `sim:=true` on the simulated robot. `dry_run:=true` computes and shows, sends nothing."""

from launch import LaunchDescription
from vgil_ros.nodes.bringup.actions import declare, main_node, monitoring, prepare, side_node

POLICY = ("robot", "task", "checkpoint", "device", "execution", "autostart", "dry_run")
ROLLOUTS = ("dataset_dir", "num_episodes", "episode_len", "reset_time")


def generate_launch_description() -> LaunchDescription:
    """The policy ends the launch, and the launch ends with its exit code."""
    return LaunchDescription(
        [
            *declare(*POLICY, *ROLLOUTS, "sim", "seed", "speed", "sim_time", "rviz"),
            prepare(),
            side_node("sim", "robot", "task", "seed", "speed", "sim_time", when="sim", fixed={"operator": False}),
            *monitoring(),
            main_node("policy", *POLICY, *ROLLOUTS),
        ]
    )
