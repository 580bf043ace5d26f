"""A dm_env loop over a robot's topics: starts the simulated robot, turns its waist, and prints how well it follows."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from vgil_ros import RosEnvironment, load_robot

os.environ.setdefault("ROS_DOMAIN_ID", "42")  # apart from a real robot in the same network


def run_episode(environment: RosEnvironment) -> None:
    """One episode: the waist follows a sine of 0.2 rad, the other joints stay."""
    timestep = environment.reset()  # FIRST: the next scene, and its first complete tick
    home = timestep.observation["qpos"].copy()  # (D,) float32, rad; the gripper 0..1
    asked, measured, tick = [], [], 0
    while not timestep.last():
        target = home.copy()
        target[0] += 0.2 * np.sin(2 * np.pi * tick / 100)
        timestep = environment.step(target)  # at the contract's rate; a target beyond a limit is brought within
        asked.append(target[0])
        measured.append(timestep.observation["qpos"][0])
        tick += 1
    errors = [np.abs(np.subtract(measured[lag:], asked[: tick - lag])).mean() for lag in range(15)]
    lag = int(np.argmin(errors))
    for name, image in timestep.observation["images"].items():
        print(f"  {name}: {image.shape} {image.dtype}, read-only RGB")
    print(f"  {tick} steps, reward {timestep.reward}, discount {timestep.discount}")
    print(f"  the waist follows {lag} ticks later, within {errors[lag]:.4f} rad")


def main(contract: Path) -> None:
    """Simulator in a process of its own, the environment in this one."""
    text = load_robot("sim_single").text.replace("max_hold: 5}", "max_hold: 50}")  # a laptop may draw slowly
    contract.write_text(text)
    parameters = [f"robot:={contract}", "operator:=false"]
    node = [sys.executable, "-m", "vgil_ros.nodes", "sim", "--ros-args"]
    robot = subprocess.Popen([*node, *(word for parameter in parameters for word in ("-p", parameter))])
    try:
        with RosEnvironment(
            str(contract), episode_len=100, timeout_s=60.0, reset_service="/sim/reset", reward_topic="/sim/reward"
        ) as environment:
            print(f"actions {environment.action_spec()}")
            run_episode(environment)
    finally:
        robot.terminate()
        robot.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(scratch, "my_robot.yaml"))
