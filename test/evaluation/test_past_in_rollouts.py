"""A policy that looks back is shown, in a rollout, what it was shown so long ago, and nothing of the rollout before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.layout import Layout
from vgil_ros.evaluation.evaluate import EvaluationPlan, evaluate_source

TICKS, LENGTH = (9, 5), 14


class LookingBack:
    """Moves a little, and keeps what it was shown by time."""

    def __init__(self, contract: Any) -> None:
        layout = Layout(contract)
        self.horizon, self.action_dim = 5, layout.dim
        self.inference_s: list[float] = []
        self.cameras = tuple(camera.name for camera in contract.cameras)
        self.obs_offsets: tuple[int, ...] = TICKS
        self.supports_prefix = False
        self.rate_hz = contract.rate_hz
        self.shown: dict[int, dict[int, Mapping[str, Any]]] = {}

    def reset(self, seed: int) -> None:
        self.shown[seed] = {}
        self._now = self.shown[seed]

    def chunk(self, observation: Mapping[str, Any], seconds: float) -> np.ndarray:
        self._now[round(seconds * self.rate_hz * 1000)] = observation  # in thousandths of a tick
        steps = 0.02 * np.arange(1, self.horizon + 1)
        return observation["qpos"][None] + steps[:, None] * np.ones(self.action_dim)


def test_the_past_is_what_was_shown_then() -> None:
    contract, _ = load_contract("sim_single")
    source = LookingBack(contract)
    evaluate_source(EvaluationPlan("pick_place", episodes=2, episode_len=LENGTH, latency_ms=0.0), contract, source)
    for shown in source.shown.values():
        first, checked = min(shown), 0
        for time, observation in shown.items():
            past = observation["past"]
            for place, ticks in enumerate(TICKS):
                then = time - 1000 * ticks
                if time == first:
                    assert not past["known"][place], "nothing of the rollout before"
                    assert np.array_equal(past["qpos"][place], observation["qpos"])
                if then in shown:
                    assert past["known"][place]
                    checked += 1
                    assert np.array_equal(past["qpos"][place], shown[then]["qpos"])
                    for name, images in past["images"].items():
                        assert np.array_equal(images[place], shown[then]["images"][name])
        assert checked >= LENGTH - max(TICKS)
