"""Films of an evaluation's rollouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.rollout import RolloutRunner
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
