"""One rollout on the simulated robot: the control loop of the policy node, driven in simulated time.

The time that inference takes is simulated too: a chunk asked for at a tick is there `latency_s` later, at the soonest
at the next tick, as in the node, whose inference runs beside the control loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.control.policy_input import PolicyInput
from vgil_ros.core.control.requests import InferenceResult
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.sources import ChunkSource
from vgil_ros.robots.sim.simulation import START_NS
from vgil_ros.robots.worlds import World

PATIENCE_S = 5.0  # simulated; a policy whose first chunk has not come by then never moves


class RolloutRunner:
    """Runs rollouts, one after another.

    Args:
        world: without an operator.
        pipeline: plays the chunks.
        source: makes them.
        latency_s: simulated time of one inference.
        episode_len: ticks with a command.
        watch: called at each tick with the tick's number and the world, for videos.
    """

    def __init__(
        self,
        world: World,
        pipeline: ActionPipeline,
        source: ChunkSource,
        *,
        latency_s: float,
        episode_len: int,
        watch: Callable[[int, World], None] | None = None,
    ) -> None:
        self.world, self.pipeline, self.source = world, pipeline, source
        self.episode_len = episode_len
        self._latency_ns = round(latency_s * 1e9)
        self._watch = watch
        self._input = PolicyInput(ObservationBuilder(world.layout, world.streams), source.cameras, _pixels)

    def run(self, seed: int) -> Rollout:
        """One rollout of the scene of a seed."""
        world, pipeline = self.world, self.pipeline
        world.reset(seed)
        self.source.reset(seed)
        counts = pipeline.safety.counts.copy()
        for _ in range(int(world.rng.integers(*world.begin_steps, endpoint=True))):
            world.advance()
        self._begin()
        while len(self._rewards) < self.episode_len and not pipeline.ended and world.seconds < self._deadline_s():
            self._turn()
            self._turns += 1
            while not world.over and world.now_ns < self._loop.ticks.stamp_ns(self._turns):
                world.advance()
            if world.over:
                self._score()
                break
        rewards = self._rewards
        return Rollout(
            seed=seed,
            success=bool(world.robot.success()),
            ret=float(sum(rewards)),
            highest_reward=max(rewards, default=0.0),
            steps=len(rewards),
            steps_to_success=self._done_at,
            smoothness=pipeline.smoothness(),
            safety_events=dict(pipeline.safety.counts - counts),
            ages_ms=tuple(self._ages_ms),
            missed=self._missed,
            late=pipeline.late,
        )

    def _deadline_s(self) -> float:
        return float("inf") if self._loop.answered else PATIENCE_S

    def _begin(self) -> None:
        # a reset makes a new world.sync
        self._loop = ControlLoop(self.world.sync, self.pipeline, self.source.obs_offsets)
        self._loop.begin(self.world.now_ns)
        self._turns = 0
        self._coming: tuple[InferenceResult, int, int] | None = None  # from which turn and time on it is there
        self._missed = 0
        self._done_at: int | None = None
        self._rewards: list[float] = []
        self._ages_ms: list[float] = []

    def _turn(self) -> None:
        """One turn of the control loop: observations and answers in, a command out, a request."""
        world, loop = self.world, self._loop
        for tick in world.ticks():
            if isinstance(tick, Sample):
                loop.observe(tick)
            else:
                self._missed += 1
        self._poll()
        outcome = loop.step(world.now_ns)
        if outcome is not None:
            if self._watch is not None:
                self._watch(len(self._rewards), world)
            if outcome.command is not None:
                world.command(outcome.command.positions, outcome.command.base)
            self._score()
        self._submit()

    def _score(self) -> None:
        self._rewards.append(float(self.world.robot.reward()))
        if self._done_at is None and self.world.robot.success():
            self._done_at = len(self._rewards)

    def _poll(self) -> None:
        if self._coming is None:
            return
        answer, turn, ready_ns = self._coming
        if self._turns < turn or self.world.now_ns < ready_ns:
            return
        self._coming = None
        self._loop.accept(answer)
        self._ages_ms.append((self._turns - self._made_for) * 1e3 / self.world.contract.rate_hz)

    def _submit(self) -> None:
        now = self.world.now_ns
        request = self._loop.request(now)
        if request is None:
            return
        self._made_for = request.tick
        observation, seconds = self._input.observation(request), (request.sample.stamp_ns - START_NS) / 1e9
        drawn = [self.source.chunk(observation, seconds) for _ in range(request.draws)]
        chunk = drawn[0] if request.draws == 1 else np.stack(drawn)
        self._coming = InferenceResult(request.serial, chunk), self._turns + 1, now + self._latency_ns


def _pixels(shot: Any) -> np.ndarray:
    """An image payload of the simulated world, (H, W, 3) uint8 RGB."""
    return to_rgb(shot.image())
