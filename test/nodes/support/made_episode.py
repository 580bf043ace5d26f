"""A made episode of a small robot, to be replayed."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import dm_env
import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import streams_of
from vgil_ros.episodes import CameraMeta, EpisodeMeta, EpisodeWriter

TICK_NS = 20_000_000


def episode(contract: Path, folder: Path, actions: np.ndarray, base: np.ndarray) -> Path:
    """An episode of a robot with these actions (T, D) in units of the action, and the base's velocity (T, 2)."""
    robot_, text = load_contract(str(contract))
    layout, streams = Layout(robot_), streams_of(robot_, masters=False)
    meta = EpisodeMeta(
        robot=robot_.name,
        contract=text,
        rate_hz=robot_.rate_hz,
        streams=tuple(s.name for s in streams),
        joint_names=layout.joint_names,
        cameras=(CameraMeta("cam_a", 48, 64, "jpeg"),),
        has_velocity=False,
        has_base=True,
        has_base_velocity=True,
        task="test",
    )
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    writer = EpisodeWriter(folder, meta, min_free_bytes=0)
    for t in range(len(actions) + 1):
        row = min(t, len(actions) - 1)
        seen = OrderedDict(
            qpos=actions[row].astype(np.float32),
            images=OrderedDict(cam_a=image),
            base_vel=base[row].astype(np.float32),
        )
        step = dm_env.restart(seen) if t == 0 else dm_env.transition(0.0, seen)
        last = t == len(actions)
        writer.append(
            dm_env.termination(0.0, seen) if last else step,
            None if last else actions[row].astype(np.float32),
            stamp_ns=10**18 + t * TICK_NS,
            skew_ns=np.zeros(len(streams), np.int64),
            flags=np.zeros(len(streams), np.uint8),
        )
    return writer.close(None)
