"""One rollout on the simulated robot: the control loop of the policy node, driven in simulated time.

The time that inference takes is simulated too: a chunk asked for at a tick is there its latency later, at the soonest
at the next tick, as in the node, whose inference runs beside the control loop. A request whose answer is lost is open
until it is given up, as a remote policy's is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vgil_ros.core.control.loop import ControlLoop
from vgil_ros.core.control.pipeline import ActionPipeline
from vgil_ros.core.control.policy_input import PolicyInput
from vgil_ros.core.control.requests import InferenceError, InferenceReply, InferenceRequest, InferenceResult
from vgil_ros.core.control.takeover import Takeover
from vgil_ros.core.safety import Outcome
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.image_codec import to_rgb
from vgil_ros.evaluation.latency import PATIENCE_S, LatencyTrace
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.sources import ChunkSource
from vgil_ros.robots.sim.simulation import START_NS
from vgil_ros.robots.worlds import World


class RolloutRunner:
    """Runs rollouts, one after another.

    Args:
        world: without an operator.
        pipeline: plays the chunks.
        source: makes them.
        latency: simulated time of each inference.
        episode_len: ticks with a command.
        watch: called at each tick with the tick's number and the world, for videos.
    """

    def __init__(
        self,
        world: World,
        pipeline: ActionPipeline,
        source: ChunkSource,
        *,
        latency: LatencyTrace,
        episode_len: int,
        watch: Callable[[int, World], None] | None = None,
    ) -> None:
        self.world, self.pipeline, self.source = world, pipeline, source
        self.episode_len = episode_len
        self._latency = latency
        self._watch = watch
        self._input = PolicyInput(ObservationBuilder(world.layout, world.streams), source.cameras, _pixels)

    takeover: Takeover | None = None  # of a runner whose robot can be taken over

    def observed(self, tick: int, sample: Sample) -> None:
        """A complete tick was taken. Hook."""

    def answered(self, tick: int, chunk: np.ndarray) -> None:
        """A chunk (H, A), or several (K, H, A), came that was made for a tick. Hook."""

    def before_step(self) -> None:
        """A command is about to be asked for. Hook."""

    def after_step(self, outcome: Outcome) -> None:
        """A command was judged and sent. Hook."""

    def run(self, seed: int) -> Rollout:
        """One rollout of the scene of a seed."""
        world, pipeline = self.world, self.pipeline
        world.reset(seed)
        self.source.reset(seed)
        counts = pipeline.safety.counts.copy()
        for _ in range(int(world.rng.integers(*world.begin_steps, endpoint=True))):
            world.advance()
        self._begin(seed)
        while not self.done and not pipeline.ended and world.seconds < self._deadline_s():
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
            lost=self._lost,
        )

    @property
    def done(self) -> bool:
        """Whether the attempt is over."""
        return len(self._rewards) >= self.episode_len

    def _deadline_s(self) -> float:
        return float("inf") if self._loop.answered else self._given_up_s + PATIENCE_S

    def _begin(self, seed: int) -> None:
        # a reset makes a new world.sync
        self._loop = ControlLoop(self.world.sync, self.pipeline, self.source.obs_offsets, self.takeover)
        self._loop.begin(self.world.now_ns)
        self._turns = 0
        self._coming: tuple[InferenceReply, int, int] | None = None  # from which turn and time on it is there
        self._waits = self._latency.of_scene(seed)
        self._given_up_s = 0.0  # when the last request without an answer is: none of that time was the policy's
        self._missed = self._lost = 0
        self._done_at: int | None = None
        self._rewards: list[float] = []
        self._ages_ms: list[float] = []

    def _turn(self) -> None:
        """One turn of the control loop: observations and answers in, a command out, a request."""
        world, loop = self.world, self._loop
        for tick in world.ticks():
            if isinstance(tick, Sample):
                self.observed(loop.observe(tick), tick)
            else:
                self._missed += 1
        self._poll()
        self.before_step()
        outcome = loop.step(world.now_ns)
        if outcome is not None:
            if self._watch is not None:
                self._watch(len(self._rewards), world)
            if outcome.command is not None:
                world.command(outcome.command.positions, outcome.command.base)
            self.after_step(outcome)
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
        taken = self._loop.accept(answer)
        if not isinstance(answer, InferenceResult):
            self._lost += 1
            return
        if taken:
            self.answered(self._made_for, answer.chunk)
        self._ages_ms.append((self._turns - self._made_for) * 1e3 / self.world.contract.rate_hz)

    def _submit(self) -> None:
        if self._coming is not None:  # one at a time, as in the node; a hand-back makes nothing ready sooner
            return
        now = self.world.now_ns
        request = self._loop.request(now)
        if request is None:
            return
        self._made_for, wait = request.tick, next(self._waits)
        answer: InferenceReply
        if wait.answered:
            answer = InferenceResult(request.serial, self._chunk(request))
        else:
            answer = InferenceError(request.serial, f"no answer within {wait.seconds:g} s")
            self._given_up_s = self.world.seconds + wait.seconds
        self._coming = answer, self._turns + 1, now + round(wait.seconds * 1e9)

    def _chunk(self, request: InferenceRequest) -> np.ndarray:
        observation, seconds = self._input.observation(request), (request.sample.stamp_ns - START_NS) / 1e9
        drawn = [self.source.chunk(observation, seconds) for _ in range(request.draws)]
        return drawn[0] if request.draws == 1 else np.stack(drawn)


def _pixels(shot: Any) -> np.ndarray:
    """An image payload of the simulated world, (H, W, 3) uint8 RGB."""
    return to_rgb(shot.image())
