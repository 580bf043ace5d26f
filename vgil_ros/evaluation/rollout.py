"""One rollout on the simulated robot: the policy node's control loop in simulated time, through the same `core.acting`.

The time that inference takes is simulated too: a chunk asked for at a tick is there `latency_s` later, at the soonest
at the next tick, as in the node, whose inference runs beside the control loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vgil_ros.core.control.pipeline import Actor
from vgil_ros.core.execution import Committed, with_committed
from vgil_ros.core.history import History, with_past
from vgil_ros.core.layout import POSITION
from vgil_ros.core.safety import Context
from vgil_ros.core.sync import Miss, Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.pictures import to_rgb
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.sources import ChunkSource
from vgil_ros.robots.sim.demonstrations import BEGIN_STEPS
from vgil_ros.robots.sim.simulation import START_NS, Shot, SimWorld

PATIENCE_S = 5.0  # simulated; a policy whose first chunk has not come by then never moves


@dataclass(frozen=True)
class _Question:
    """A chunk on its way."""

    made_for: int
    chunk: np.ndarray
    asked_tick: int
    asked_ns: int
    ready_ns: int


class RolloutRunner:
    """Runs rollouts, one after another.

    Args:
        world: without an operator.
        actor: plays the chunks.
        source: makes them.
        latency_s: simulated time of one inference.
        episode_len: ticks with a command.
        watch: called at each tick with the tick's number and the world, for films.
    """

    def __init__(
        self,
        world: SimWorld,
        actor: Actor,
        source: ChunkSource,
        *,
        latency_s: float,
        episode_len: int,
        watch: Callable[[int, SimWorld], None] | None = None,
    ) -> None:
        self.world, self.actor, self.source = world, actor, source
        self.episode_len = episode_len
        self._latency_ns = round(latency_s * 1e9)
        self._watch = watch
        self._observations = ObservationBuilder(world.layout, world.streams)
        self._history: History[Sample] = History(source.past_ticks, round(1e9 / world.contract.rate_hz))
        self._puppets = [f"{arm.name}/puppet" for arm in world.contract.arms]

    def run(self, seed: int) -> Rollout:
        """One rollout of the scene of a seed."""
        world, actor = self.world, self.actor
        world.reset(seed)
        self.source.reset(seed)
        actor.reset()
        counts = actor.safety.counts.copy()
        for _ in range(int(world.rng.integers(*BEGIN_STEPS, endpoint=True))):
            world.advance()
        self._begin()
        while len(self._rewards) < self.episode_len and not actor.ended and world.seconds < self._deadline_s():
            self._turn()
            self._tick += 1
            while world.now_ns < self._origin_ns + round(self._tick * 1e9 / world.contract.rate_hz):
                world.advance()
        rewards = self._rewards
        return Rollout(
            seed=seed,
            success=bool(world.robot.success()),
            ret=float(sum(rewards)),
            highest_reward=max(rewards, default=0.0),
            steps=len(rewards),
            steps_to_success=self._done_at,
            jumps=actor.jumps(),
            interventions=dict(actor.safety.counts - counts),
            ages_ms=tuple(self._ages_ms),
            missed=self._missed,
            late=actor.late,
        )

    def _deadline_s(self) -> float:
        return PATIENCE_S if not self._moving else float("inf")

    def _begin(self) -> None:
        self._origin_ns, self._tick = self.world.now_ns, 0
        self.world.sync.start(self._origin_ns)
        self._history.reset()
        self._latest: Sample | None = None
        self._question: _Question | None = None
        self._asked, self._moving, self._missed = -1, False, 0
        self._done_at: int | None = None
        self._rewards: list[float] = []
        self._ages_ms: list[float] = []

    def _turn(self) -> None:
        """One turn of the control loop: answers, questions, a command."""
        world = self.world
        for found in world.ticks():
            if isinstance(found, Miss):
                self._missed += 1
                continue
            self._latest = found
            self._history.push(found.stamp_ns, found)
        self._hear()
        self._ask()
        if not self._moving:
            return
        if self._watch is not None:
            self._watch(len(self._rewards), world)
        outcome = self.actor.act(self._circumstances())
        if outcome.command is not None:
            world.command(outcome.command.positions, outcome.command.base)
        self._rewards.append(float(world.robot.reward()))
        if self._done_at is None and world.robot.success():
            self._done_at = len(self._rewards)

    def _hear(self) -> None:
        question, now = self._question, self.world.now_ns
        if question is None or now < question.ready_ns or self._tick <= question.asked_tick:
            return
        self._question, self._moving = None, True
        self.actor.executor.add_chunk(question.made_for, question.chunk)
        self._ages_ms.append((self._tick - question.made_for) * 1e3 / self.world.contract.rate_hz)

    def _ask(self) -> None:
        sample, now = self._latest, self.world.now_ns
        if sample is None or self._question is not None or not self.actor.executor.wants_inference(self._tick):
            return
        made_for = round((sample.stamp_ns - self._origin_ns) * self.world.contract.rate_hz / 1e9)
        if made_for <= self._asked:
            return
        self._asked = made_for
        chunk = self._infer(sample, self.actor.committed(made_for))
        self._question = _Question(made_for, chunk, self._tick, now, now + self._latency_ns)

    def _infer(self, sample: Sample, committed: Committed | None) -> np.ndarray:
        past = [None if one is None else self._seen(one) for one in self._history.past(sample.stamp_ns)]
        observation = with_committed(with_past(self._seen(sample), past), committed)
        return self.source.chunk(observation, (sample.stamp_ns - START_NS) / 1e9)

    def _seen(self, sample: Sample) -> dict[str, Any]:
        found = self._observations.observation(sample.payloads)
        shots: dict[str, Shot] = found.get("images", {})
        images = {name: to_rgb(shots[name].picture()) for name in self.source.cameras}
        return {"qpos": found["qpos"], "images": images}

    def _circumstances(self) -> Context:
        world, now = self.world, self.world.now_ns
        ages: dict[str, int | None] = {}
        for spec in world.streams:
            newest = world.sync.rings[spec.name].newest
            ages[spec.name] = None if newest is None else now - newest
        ages["observation"] = None if self._latest is None else now - self._latest.stamp_ns
        return Context(
            tick=self._tick,
            now_ns=now,
            period_s=1.0 / world.contract.rate_hz,
            measured=world.layout.state([world.states[name] for name in self._puppets])[POSITION],
            stream_ages_ns=ages,
            last_policy_ns=now if self._question is None else self._question.asked_ns,
        )
