"""Sources of chunks that need no training: a recording, and tiny random policies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.policies import Normalizer
from vgil_ros.policies.registry import policy_class
from vgil_ros.robots.sim.simulation import START_NS

ROWS = 64


class RecordedSource:
    """The actions of recorded episodes, by seed: the chunk for a moment is what was done from that moment on."""

    def __init__(self, episodes: Mapping[int, Path], horizon: int = 60) -> None:
        self._files = episodes
        self.horizon = horizon
        self.inference_s: list[float] = []
        with EpisodeReader(next(iter(episodes.values()))) as episode:
            self.action_dim, self._rate = episode.action.shape[1], episode.rate_hz
        self.cameras: tuple[str, ...] = ()
        self.obs_offsets: tuple[int, ...] = ()
        self.supports_prefix = False
        self.asked = 0

    def reset(self, seed: int) -> None:
        with EpisodeReader(self._files[seed]) as episode:
            self._actions = np.asarray(episode.action)
            assert episode.stamp_ns is not None
            self._begin_s = (int(episode.stamp_ns[0]) - START_NS) / 1e9

    def chunk(self, observation: Mapping[str, Any], seconds: float) -> np.ndarray:
        assert observation["qpos"].shape == (self.action_dim,)
        self.asked += 1
        assert self._rate is not None
        first = round((seconds - self._begin_s) * self._rate)
        rows = np.clip(np.arange(first, first + self.horizon), 0, len(self._actions) - 1)
        return self._actions[rows]


SMALL = {"hidden_dim": 16, "heads": 2, "feedforward_dim": 16, "encoder_layers": 1}
BACKBONE = {"backbone": "mobilenet_v3_small", "backbone_norm": "group"}


def tiny_act(folder: Path, robot: str = "sim_single", chunk: int = 10) -> Path:
    """Save a random ACT checkpoint that fits a robot."""
    return _tiny("act", folder, robot, chunk, {**SMALL, **BACKBONE, "cvae_layers": 0, "latent_dim": 4})


def tiny_flow(folder: Path, robot: str = "sim_single", chunk: int = 10, **sizes: Any) -> Path:
    """Save a random flow matching checkpoint that fits a robot."""
    given = {**SMALL, **BACKBONE, "action_layers": 1, "steps": 2, **sizes}
    return _tiny("flow_matching", folder, robot, chunk, given)


def _tiny(kind: str, folder: Path, robot: str, chunk: int, sizes: dict[str, Any]) -> Path:
    contract, _ = load_contract(robot)
    layout = Layout(contract)
    torch.manual_seed(0)
    made = policy_class(kind)
    policy = made(
        made.config_class(
            state_dim=layout.dim,
            action_dim=layout.dim,
            chunk_size=chunk,
            cameras=tuple({"name": c.name, "height": c.height, "width": c.width} for c in contract.cameras),
            joint_names=layout.joint_names,
            rate_hz=contract.rate_hz,
            **sizes,
        )
    )
    home = np.concatenate([arm.command.normalise(np.asarray(arm.arm.home)) for arm in layout.arms])
    random = np.random.default_rng(0)
    near = np.clip(home + random.normal(0, 0.1, (ROWS, layout.dim)), layout.lower, layout.upper)
    cameras = len(contract.cameras)
    policy.set_normalizer(Normalizer.fit(policy.config.normalization, near, near, cameras))
    return policy.save(folder)
