"""Sources of an evaluation's chunks: a checkpoint, or anything else that makes one of an observation."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

import numpy as np

from vgil_ros.core.history import with_task
from vgil_ros.core.layout import Layout
from vgil_ros.core.observation import RobotObservation
from vgil_ros.policies.inference.opening import make_runner, open_for_robot


class ChunkSource(Protocol):
    """Makes chunks of observations.

    Attributes:
        horizon: H, actions in a chunk.
        action_dim: A, values in an action.
        cameras: whose images it is shown.
        obs_offsets: how many ticks back it is also shown what was seen then; see `core.history`.
        supports_prefix: whether it keeps actions that are settled already, as the mode `rtc` needs it.
        inference_s: how long each inference took on this machine.
    """

    horizon: int
    action_dim: int
    cameras: tuple[str, ...]
    obs_offsets: tuple[int, ...]
    supports_prefix: bool
    inference_s: list[float]

    def reset(self, seed: int) -> None:
        """An episode begins."""

    def chunk(self, observation: RobotObservation, seconds: float) -> np.ndarray:
        """Return the chunk (H, A) for an observation that was made so many simulated seconds after the reset.

        Args:
            observation: {"qpos": (D,) float32, "images": {camera: (H, W, 3) uint8 RGB}}, with `obs_offsets` "past",
                and in `rtc` "prefix".
            seconds: policies do not look at it; a recording does.
        """


class PolicySource:
    """A checkpoint.

    Args:
        checkpoint: its folder, or the address of its server.
        layout: the robot, against which it is held.
        device: where it runs.
        task: for a policy that takes one.
        mapping: a YAML for an address.

    Raises:
        VgilError: for a checkpoint that cannot be used or reached, with every mismatch between it and the robot.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        layout: Layout,
        device: str = "cpu",
        task: str = "",
        mapping: Path | None = None,
    ) -> None:
        self._task = task
        policy = open_for_robot(checkpoint, layout, mapping=mapping, task=task)
        self.config = policy.config
        self.horizon, self.action_dim = policy.config.chunk_size, policy.config.action_dim
        self.cameras, self.obs_offsets = policy.config.camera_names, policy.config.obs_offsets
        self.inference_s: list[float] = []
        self.supports_prefix, self.stochastic = policy.supports_prefix, policy.stochastic
        self._runner = make_runner(policy, layout, device, repeatable=True)

    def reset(self, seed: int) -> None:
        """An episode begins; what the policy draws follows from the seed."""
        self._runner.reset(seed)

    def chunk(self, observation: RobotObservation, seconds: float) -> np.ndarray:
        """See `ChunkSource.chunk`."""
        began = time.perf_counter()
        chunk = self._runner(with_task(observation, self._task))
        self.inference_s.append(time.perf_counter() - began)
        return chunk

    def close(self) -> None:
        """Let go of a server."""
        self._runner.close()
