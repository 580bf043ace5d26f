"""Session of rollouts: a world, an action pipeline and a source of chunks, put together as in the policy node."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.control.pipeline import ActionPipeline, ChunkSize, make_action_pipeline
from vgil_ros.core.execution import check_mode
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec, policy_streams
from vgil_ros.episodes.video import VideoWriter
from vgil_ros.evaluation.ablation import SwappedImages
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.rollout import RolloutRunner
from vgil_ros.evaluation.sources import ChunkSource, PolicySource
from vgil_ros.evaluation.thumbnails import thumbnails
from vgil_ros.policies.device import one_thread
from vgil_ros.robots.worlds import World, make_world

VIDEO_EVERY = 2  # ticks
WIDEST = 1280  # pixels of a video


class RolloutVideo:
    """Records rollouts on video. It draws by itself, so that the policy sees the same noise with and without it."""

    def __init__(self, folder: Path, contract: Contract) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rate = folder, contract.rate_hz / VIDEO_EVERY
        self._cameras = [camera for camera in contract.cameras if not camera.is_depth]
        self._first: list[np.ndarray] = []
        self._writer: VideoWriter | None = None

    def record(self, runner: RolloutRunner, seed: int) -> tuple[Rollout, list[np.ndarray]]:
        """Run a rollout and record it; with it come a few images of its first camera, for the thumbnail sheet."""
        self._first = []
        with VideoWriter(self._folder / f"seed_{seed}.mp4", self._rate, WIDEST) as self._writer:
            rollout = runner.run(seed)
        return rollout, thumbnails(self._first)

    def watch(self, tick: int, world: World) -> None:
        """Take the images of a tick."""
        if tick % VIDEO_EVERY:
            return
        height = max(camera.height for camera in self._cameras)
        images = [world.draw(c.name, height, round(c.width * height / c.height)) for c in self._cameras]
        self._first.append(images[0])
        assert self._writer is not None
        self._writer.add(images)


@dataclass(frozen=True, eq=False)
class RolloutResult:
    """A rollout, a few images of it where it was recorded on video, and how long each of its inferences took."""

    rollout: Rollout
    thumbnails: list[np.ndarray]
    inference_s: list[float]


class RolloutSession:
    """Plays rollouts, one after another; each follows from its seed alone.

    Args:
        plan: what is evaluated.
        contract: the robot.
        source: makes the chunks.
        videos: folder for videos.

    Raises:
        VgilError: where robot, task or mode cannot be used.
    """

    def __init__(
        self, plan: EvaluationPlan, contract: Contract, source: ChunkSource, videos: Path | None = None
    ) -> None:
        self._plan, self._own = plan, source
        self._swapped = None if plan.swap_images_from_seed is None else SwappedImages(source, plan)
        streams = policy_streams(contract, source.cameras)
        self._world = make_world(
            contract, plan.task, operator=False, streams=streams, every_image=bool(source.obs_offsets)
        )
        self._video = RolloutVideo(videos, contract) if videos is not None else None
        self._runner = RolloutRunner(
            self._world,
            pipeline_for(plan, self._world.layout, source, streams),
            self._swapped or source,
            latency=plan.latency,
            episode_len=plan.ticks,
            watch=self._video.watch if self._video else None,
        )

    @property
    def max_reward(self) -> float:
        """The task's reward of a success."""
        return float(self._world.max_reward)

    def play(self, seed: int) -> RolloutResult:
        """One rollout of the scene of a seed."""
        before = len(self._own.inference_s)
        with one_thread():
            if self._video is not None:
                rollout, images = self._video.record(self._runner, seed)
            else:
                rollout, images = self._runner.run(seed), []
        return RolloutResult(rollout, images, self._own.inference_s[before:])

    def close(self) -> None:
        """Free the images' context."""
        self._world.close()
        if self._swapped is not None:
            self._swapped.close()


def pipeline_for(
    plan: EvaluationPlan, layout: Layout, source: ChunkSource, streams: tuple[StreamSpec, ...]
) -> ActionPipeline:
    """The action pipeline that the policy node makes of its usual parameters.

    Raises:
        VgilError: for an unknown mode, or an option that it does not have.
    """
    named = source.config.type if isinstance(source, PolicySource) else type(source).__name__
    check_mode(plan.mode, named, source.supports_prefix)
    steps = source.config.action_steps if isinstance(source, PolicySource) else source.horizon
    same = isinstance(source, PolicySource) and not source.stochastic  # every draw would be
    options = replace(plan.options, draws=1) if same else plan.options
    return make_action_pipeline(options, layout, streams, ChunkSize(source.horizon, source.action_dim, steps))
