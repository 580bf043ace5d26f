"""Where rollouts are played: a world, an actor and a source of chunks, as the policy node puts them together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vgil_ros.core.contract import Contract
from vgil_ros.core.control.pipeline import Actor, ChunkSize, make_actor
from vgil_ros.core.execution import check_mode
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import StreamSpec, policy_streams
from vgil_ros.evaluation.ablation import OtherPictures
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.plan import Plan
from vgil_ros.evaluation.rollout import RolloutRunner
from vgil_ros.evaluation.sources import ChunkSource, PolicySource
from vgil_ros.evaluation.videos import Film, stills
from vgil_ros.robots.sim.simulation import SimWorld

FILM_EVERY = 2  # ticks


class CameraMan:
    """Films rollouts. It draws by itself, so that the policy sees the same noise with and without it."""

    def __init__(self, folder: Path, contract: Contract) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rate = folder, contract.rate_hz / FILM_EVERY
        self._cameras = [camera for camera in contract.cameras if camera.type != "depth"]
        self._first: list[np.ndarray] = []
        self._film: Film | None = None

    def film(self, runner: RolloutRunner, seed: int) -> tuple[Rollout, list[np.ndarray]]:
        """Run a rollout and film it; with it come a few pictures of its first camera, for the contact sheet."""
        self._first = []
        with Film(self._folder / f"seed_{seed}.mp4", self._rate) as self._film:
            rollout = runner.run(seed)
        return rollout, stills(self._first)

    def watch(self, tick: int, world: SimWorld) -> None:
        """Take the pictures of a tick."""
        if tick % FILM_EVERY:
            return
        height = max(camera.height for camera in self._cameras)
        pictures = [world.draw(c.name, height, round(c.width * height / c.height)) for c in self._cameras]
        self._first.append(pictures[0])
        assert self._film is not None
        self._film.add(pictures)


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
        streams = policy_streams(contract, source.cameras)
        self._world = SimWorld(contract, plan.task, operator=False, streams=streams)
        self._camera_man = CameraMan(videos, contract) if videos is not None else None
        self._runner = RolloutRunner(
            self._world,
            actor_for(plan, self._world.layout, source, streams),
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


def actor_for(plan: Plan, layout: Layout, source: ChunkSource, streams: tuple[StreamSpec, ...]) -> Actor:
    """The actor that the policy node makes of its usual parameters.

    Raises:
        VgilError: for an unknown mode, or an option that it does not have.
    """
    named = source.config.type if isinstance(source, PolicySource) else type(source).__name__
    check_mode(plan.mode, named, source.takes_committed)
    played = source.config.play_ticks if isinstance(source, PolicySource) else source.horizon
    return make_actor(plan.options, layout, streams, ChunkSize(source.horizon, source.action_dim, played))
