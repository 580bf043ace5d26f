"""Load the shipped policy and play its chunks over a demonstration, behind the safety limits, without ROS."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np

from vgil_ros import EpisodeReader, PolicyRunner, load_policy, load_robot, make_executor
from vgil_ros.core.control.pipeline import safety_for
from vgil_ros.core.safety import Command, SafetyContext
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator

SEED = 4711  # of a scene that the policy was not trained on


def play(path: Path) -> None:
    """Ask for a chunk at every tick of an episode, and print how the actions compare with the operator's."""
    robot, policy = load_robot("sim_single"), load_policy("sim_pick_place_act")  # names, or paths
    runner = PolicyRunner(policy)
    print(f"{policy.config.type} on {runner.device}: within {runner.warm_up().max_difference:.1e} of plain torch")
    executor = make_executor("temporal_ensemble", policy.config.chunk_size, policy.config.action_dim)
    safety = safety_for(robot.layout, {}, max_silence_ns=200_000_000)
    period_ns, errors, seconds = robot.contract.period_ns, [], []
    with EpisodeReader(path) as episode:
        for tick in range(episode.rows):
            images = {name: episode.image(name, tick) for name in policy.config.camera_names}  # (H, W, 3) uint8 RGB
            began = time.perf_counter()
            chunk = runner({"qpos": episode.qpos[tick], "images": images})  # (H, A) float32; row k is of tick + k
            seconds.append(time.perf_counter() - began)
            executor.add_chunk(tick, chunk)
            action = executor.action(tick)  # (A,), or None where no chunk covers the tick
            now = (tick + 1) * period_ns
            context = SafetyContext(tick, now, period_ns / 1e9, measured=episode.qpos[tick], last_policy_ns=now)
            outcome = safety.step(None if action is None else Command(action), context)
            if outcome.command is not None:  # what may be sent to the robot
                errors.append(np.abs(outcome.command.positions - episode.action[tick]).mean())
    print(f"{len(seconds)} chunks of {chunk.shape[0]} actions; inference p50 {np.median(seconds) * 1e3:.1f} ms")
    print(f"mean distance to the operator's action {np.mean(errors):.4f} rad; limits stepped in: {dict(safety.counts)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        generator = Generator(DemonstrationConfig("sim_single", "pick_place", episode_len=100))
        demonstration = generator.make(SEED, Path(scratch)).path
        generator.close()
        assert demonstration is not None
        play(demonstration)
