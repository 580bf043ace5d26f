"""Where rollouts are played: a world, an actor and a source of chunks, as the policy node puts them together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vgil_ros.core.acting import Actor, safety_for
from vgil_ros.core.contract import Contract
from vgil_ros.core.execution import check_mode, make_executor
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.training.evaluation_films import CameraMan
from vgil_ros.training.evaluation_pictures import OtherPictures
from vgil_ros.training.evaluation_plan import Plan
from vgil_ros.training.evaluation_rollout import RolloutRunner
from vgil_ros.training.evaluation_sources import ChunkSource, PolicySource
from vgil_ros.training.evaluation_world import SimWorld
from vgil_ros.training.statistics_of_rollouts import Rollout

AGE_NS = SILENCE_NS = 200_000_000  # the policy node's usual `max_age_ms` and `watchdog_ms`


@dataclass(frozen=True, eq=False)
class Played:
    """A rollout, a few pictures of it where it was filmed, and how long each of its inferences took."""

    rollout: Rollout
    stills: list[np.ndarray]
    inference_s: list[float]


class Stage:
    """Plays rollouts, one after another; each follows from its seed alone.

    Args:
        plan: what is evaluated.
        contract: the robot.
        source: makes the chunks.
        videos: folder for films.

    Raises:
        VgilError: where robot, task or mode cannot be used.
    """

    def __init__(self, plan: Plan, contract: Contract, source: ChunkSource, videos: Path | None = None) -> None:
        self._plan, self._own = plan, source
        self._shown = None if plan.pictures_of_seed is None else OtherPictures(source, plan)
        streams = _streams(contract, source.cameras)
        self._world = SimWorld(contract, plan.task, operator=False, streams=streams)
        self._camera_man = CameraMan(videos, contract) if videos is not None else None
        self._runner = RolloutRunner(
            self._world,
            make_actor(plan, self._world.layout, source, streams),
            self._shown or source,
            latency_s=plan.latency_ms / 1e3,
            episode_len=plan.ticks,
            watch=self._camera_man.watch if self._camera_man else None,
        )

    @property
    def max_reward(self) -> float:
        """The task's reward of a success."""
        return self._world.robot.task.max_reward

    def play(self, seed: int) -> Played:
        """One rollout of the scene of a seed."""
        before = len(self._own.inference_s)
        with one_thread():
            if self._camera_man is not None:
                rollout, pictures = self._camera_man.film(self._runner, seed)
            else:
                rollout, pictures = self._runner.run(seed), []
        return Played(rollout, pictures, self._own.inference_s[before:])

    def close(self) -> None:
        """Free the pictures' context."""
        self._world.close()
        if self._shown is not None:
            self._shown.close()


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums are made in one order, whatever the number of cores: a seed gives the same result to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def make_actor(plan: Plan, layout: Layout, source: ChunkSource, streams: tuple[StreamSpec, ...]) -> Actor:
    """The actor that the policy node makes of its usual parameters.

    Raises:
        VgilError: for an unknown mode, or an option that it does not have.
    """
    named = source.config.type if isinstance(source, PolicySource) else type(source).__name__
    check_mode(plan.mode, named, source.takes_committed)
    options: dict[str, Any] = {}
    if plan.query_every is not None:
        options["query_every"] = plan.query_every
    elif plan.mode == "open_loop":  # asked early enough that the chunk lasts until any answer the watchdog lets pass
        slack = math.ceil(SILENCE_NS / 1e9 * layout.contract.rate_hz)
        played = source.config.play_ticks if isinstance(source, PolicySource) else source.horizon
        options["query_every"] = max(1, min(played, source.horizon - slack))
    executor = make_executor(plan.mode, source.horizon, source.action_dim, **options)
    ages = {spec.name: AGE_NS for spec in streams} | {"observation": AGE_NS}
    return Actor(layout, executor, safety_for(layout, ages, max_silence_ns=SILENCE_NS), source.action_dim)


def _streams(contract: Contract, cameras: tuple[str, ...]) -> tuple[StreamSpec, ...]:
    """The streams that the policy node listens to: no masters, no camera that the policy does not use."""
    pictures = (Kind.IMAGE, Kind.DEPTH)
    return tuple(s for s in streams_of(contract, masters=False) if s.kind not in pictures or s.name in cameras)
