"""How good a checkpoint is on a simulated task: rollouts from seeds, and a report of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.acting import Actor, safety_for
from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import make_executor
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Kind, StreamSpec, streams_of
from vgil_ros.training.evaluation_rollout import RolloutRunner
from vgil_ros.training.evaluation_sources import ChunkSource, PolicySource
from vgil_ros.training.evaluation_world import SimWorld
from vgil_ros.training.generation import USUAL_TICKS
from vgil_ros.training.statistics_of_rollouts import Rollout, percentiles, summarise
from vgil_ros.training.videos import ContactSheet, Film

AGE_NS = SILENCE_NS = 200_000_000  # the policy node's usual `max_age_ms` and `watchdog_ms`
USUAL_ROBOTS = {"pick_place": "sim_single", "transfer_cube": "sim_aloha"}
FILM_EVERY = 2  # ticks


@dataclass(frozen=True)
class Plan:
    """What is evaluated.

    Attributes:
        task: the simulated task.
        robot: a contract's name or path; None takes the task's usual one.
        episodes, seed: rollouts of the scenes `seed`, `seed + 1`, ...
        execution: how chunks are played (`core.execution.EXECUTORS`); None is the policy node's default.
        query_every: ticks between questions, for the modes that have it.
        latency_ms: simulated time of one inference. A fixed figure, so that a seed gives the same result on any load;
            `machine.inference_ms` in the report says what it really took.
        episode_len: ticks; None takes the task's usual length.
        device: where the policy runs.
    """

    task: str
    robot: str | None = None
    episodes: int = 10
    seed: int = 0
    execution: str | None = None
    query_every: int | None = None
    latency_ms: float = 20.0
    episode_len: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        for name, low in (("episodes", 1), ("seed", 0), ("latency_ms", 0)):
            if not getattr(self, name) >= low or not math.isfinite(getattr(self, name)):
                raise VgilError(f"{name} is {getattr(self, name)}; allowed: a finite number from {low}")

    @property
    def mode(self) -> str:
        """The execution mode's name."""
        return self.execution or "temporal_ensemble"

    @property
    def robot_name(self) -> str:
        """The contract's name or path."""
        return self.robot or USUAL_ROBOTS.get(self.task, "sim_aloha")

    @property
    def ticks(self) -> int:
        """Ticks of a rollout."""
        return self.episode_len or USUAL_TICKS.get(self.task, 500)


def evaluate(
    plan: Plan,
    checkpoint: Path,
    *,
    videos: Path | None = None,
    progress: Callable[[Rollout], None] = lambda rollout: None,
) -> dict[str, Any]:
    """Run a checkpoint and return the report, JSON-ready; all but its `machine` part follows from the seed.

    Args:
        plan: what is evaluated.
        checkpoint: its folder.
        videos: folder for a film of each rollout and `contact_sheet.png`.
        progress: called after each rollout.

    Raises:
        VgilError: where checkpoint, robot, task or mode cannot be used.
    """
    contract, _ = load_contract(plan.robot_name)
    source = PolicySource(checkpoint, Layout(contract), plan.device)
    facts = {"policy": source.config.type, "fingerprint": source.config.fingerprint}
    return facts | evaluate_source(plan, contract, source, videos=videos, progress=progress)


def evaluate_source(
    plan: Plan,
    contract: Contract,
    source: ChunkSource,
    *,
    videos: Path | None = None,
    progress: Callable[[Rollout], None] = lambda rollout: None,
) -> dict[str, Any]:
    """As `evaluate`, for any source of chunks."""
    began = time.perf_counter()
    streams = _streams(contract, source.cameras)
    world = SimWorld(contract, plan.task, operator=False, streams=streams)
    camera_man = CameraMan(videos, contract) if videos is not None else None
    runner = RolloutRunner(
        world,
        make_actor(plan, world.layout, source, streams),
        source,
        latency_s=plan.latency_ms / 1e3,
        episode_len=plan.ticks,
        watch=camera_man.watch if camera_man else None,
    )
    rollouts = []
    try:
        for seed in range(plan.seed, plan.seed + plan.episodes):
            rollouts.append(camera_man.film(runner, seed) if camera_man else runner.run(seed))
            progress(rollouts[-1])
        if camera_man:
            camera_man.finish()
    finally:
        world.close()
    machine = {
        "inference_ms": percentiles([s * 1e3 for s in source.inference_s]),
        "seconds": time.perf_counter() - began,
    }
    return settings(plan) | summarise(rollouts, world.robot.task.max_reward) | {"machine": machine}


def settings(plan: Plan) -> dict[str, Any]:
    """The part of a report that says what was evaluated."""
    return {
        "task": plan.task,
        "robot": plan.robot_name,
        "seed": plan.seed,
        "execution": plan.mode,
        "query_every": plan.query_every,
        "episode_len": plan.ticks,
        "latency_ms": plan.latency_ms,
    }


def make_actor(plan: Plan, layout: Layout, source: ChunkSource, streams: tuple[StreamSpec, ...]) -> Actor:
    """The actor that the policy node makes of its usual parameters.

    Raises:
        VgilError: for an unknown mode, or an option that it does not have.
    """
    options: dict[str, Any] = {}
    if plan.query_every is not None:
        options["query_every"] = plan.query_every
    elif plan.mode == "open_loop":  # asked early enough that the chunk lasts until any answer the watchdog lets pass
        slack = math.ceil(SILENCE_NS / 1e9 * layout.contract.rate_hz)
        options["query_every"] = max(1, source.horizon - slack)
    executor = make_executor(plan.mode, source.horizon, source.action_dim, **options)
    ages = {spec.name: AGE_NS for spec in streams} | {"observation": AGE_NS}
    return Actor(layout, executor, safety_for(layout, ages, max_silence_ns=SILENCE_NS), source.action_dim)


def _streams(contract: Contract, cameras: tuple[str, ...]) -> tuple[StreamSpec, ...]:
    """The streams that the policy node listens to: no masters, no camera that the policy does not use."""
    pictures = (Kind.IMAGE, Kind.DEPTH)
    return tuple(s for s in streams_of(contract, masters=False) if s.kind not in pictures or s.name in cameras)


class CameraMan:
    """Films rollouts. It draws by itself, so that the policy sees the same noise with and without it."""

    def __init__(self, folder: Path, contract: Contract) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._rate = folder, contract.rate_hz / FILM_EVERY
        self._cameras = [camera for camera in contract.cameras if camera.type != "depth"]
        self._sheet = ContactSheet()
        self._first: list[np.ndarray] = []
        self._film: Film | None = None

    def film(self, runner: RolloutRunner, seed: int) -> Rollout:
        """Run a rollout and film it."""
        self._first = []
        with Film(self._folder / f"seed_{seed}.mp4", self._rate) as self._film:
            rollout = runner.run(seed)
        self._sheet.add(rollout, self._first)
        return rollout

    def watch(self, tick: int, world: SimWorld) -> None:
        """Take the pictures of a tick."""
        if tick % FILM_EVERY:
            return
        height = max(camera.height for camera in self._cameras)
        pictures = [world.draw(c.name, height, round(c.width * height / c.height)) for c in self._cameras]
        self._first.append(pictures[0])
        assert self._film is not None
        self._film.add(pictures)

    def finish(self) -> None:
        """Write the contact sheet."""
        self._sheet.save(self._folder / "contact_sheet.png")
