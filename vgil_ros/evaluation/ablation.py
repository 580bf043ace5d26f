"""Another scene's images in place of a policy's own: one that needs its cameras must fail then."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from vgil_ros.core.observation import RobotObservation
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.sources import ChunkSource
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig, Generator
from vgil_ros.robots.sim.simulation import START_NS


class SwappedImages:
    """A source that is shown a demonstration of another scene, moment for moment; the joints stay its own.

    Args:
        source: what makes the chunks.
        plan: `swap_images_from_seed` says which scene.

    Raises:
        VgilError: where the task has no operator to show it.
    """

    def __init__(self, source: ChunkSource, plan: EvaluationPlan) -> None:
        assert plan.swap_images_from_seed is not None
        self._source = source
        self.horizon, self.action_dim, self.cameras = source.horizon, source.action_dim, source.cameras
        self.obs_offsets, self.inference_s = source.obs_offsets, source.inference_s
        self.supports_prefix = source.supports_prefix
        self._folder = tempfile.TemporaryDirectory(prefix="vgil_pictures_")
        generator = Generator(DemonstrationConfig(plan.robot_name, plan.task, plan.ticks))
        try:
            path = generator.make(plan.swap_images_from_seed, Path(self._folder.name)).path
        finally:
            generator.close()
        assert path is not None
        self._episode = EpisodeReader(path)
        stamps = self._episode.stamp_ns
        assert stamps is not None
        self._seconds = (stamps - START_NS) / 1e9

    def reset(self, seed: int) -> None:
        """See `ChunkSource.reset`."""
        self._source.reset(seed)

    def chunk(self, observation: RobotObservation, seconds: float) -> np.ndarray:
        """See `ChunkSource.chunk`."""
        changed: RobotObservation = {**observation, "images": self._at(seconds)}
        if "past" in observation:
            period = 1.0 / (self._episode.rate_hz or 1.0)
            earlier = [self._at(seconds - ticks * period) for ticks in self.obs_offsets]
            images = {name: np.stack([one[name] for one in earlier]) for name in self.cameras}
            changed["past"] = {**observation["past"], "images": images}
        return self._source.chunk(changed, seconds)

    def _at(self, seconds: float) -> dict[str, np.ndarray]:
        row = int(np.argmin(np.abs(self._seconds - seconds)))
        return {name: self._episode.image(name, row) for name in self.cameras}

    def close(self) -> None:
        """Delete the demonstration."""
        self._episode.close()
        self._folder.cleanup()
