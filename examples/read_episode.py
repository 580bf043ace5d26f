"""Read an episode of any layout: python examples/read_episode.py [FILE]. Without a file it makes one in simulation."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from vgil_ros import EpisodeReader


def make_episode(folder: Path) -> Path:
    """A demonstration of the simulated arm, two seconds long."""
    from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator

    generator = Generator(DemonstrationConfig("sim_single", "pick_place", episode_len=100))
    try:
        path = generator.make(0, folder).path
    finally:
        generator.close()
    assert path is not None
    return path


def describe(path: Path) -> None:
    """Print what a file holds, and how well its streams fit together."""
    with EpisodeReader(path) as episode:
        print(
            f"{path.name}: layout {episode.layout}, {episode.rows} rows at {episode.rate_hz} Hz, robot {episode.robot}"
        )
        for name in episode.camera_names:
            image = episode.image(name, 0)  # (H, W, 3) uint8 RGB, decoded now
            print(f"  {name:12} {image.shape}, mean colour {image.mean((0, 1)).round().astype(int).tolist()}")
        action = episode.aligned_action()  # (T, D): row t belongs to observation t
        names = episode.joint_names or [f"column {i}" for i in range(action.shape[1])]
        for i, name in enumerate(names):
            low, high = episode.qpos[:, i].min(), episode.qpos[:, i].max()
            lead = leads(episode.qpos, action, i)
            print(f"  {name:18} qpos {low:+.3f} to {high:+.3f}, the action leads by {lead} ticks")
        if episode.skew_ns is not None:  # files of other projects do not say
            for name, worst in zip(episode.streams, np.abs(episode.skew_ns).max(0) / 1e6, strict=True):
                print(f"  {name:18} at most {worst:.1f} ms from its tick")


def leads(qpos: np.ndarray, action: np.ndarray, joint: int) -> int:
    """By how many ticks a joint's action is ahead of what it does: the shift with the smallest error."""
    rows = len(qpos) - 20
    errors = [np.abs(qpos[shift : shift + rows, joint] - action[:rows, joint]).mean() for shift in range(20)]
    return int(np.argmin(errors))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        describe(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            describe(make_episode(Path(scratch)))
