"""Attempts of a policy on the simulated robot under watch: its doubt at each tick, and corrections by the operator.

The simulated human takes over where a person would have seen that it fails: when the task has not come as far as it
should by then. The scripted operator leads the masters from there, through the same takeover as over ROS, and hands
back when the task is done. What was done is recorded as the policy node records it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.assets import load_contract
from vgil_ros.core.control.context import measured_positions
from vgil_ros.core.control.doubt import DoubtMeter, Familiar
from vgil_ros.core.control.takeover import Actor, Reading, Takeover
from vgil_ros.core.layout import POSITION
from vgil_ros.core.safety import Outcome
from vgil_ros.core.streams import streams_of
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.writing.pairing import Pairing
from vgil_ros.episodes.writing.sink import EpisodeEnd, EpisodeSink, Recording
from vgil_ros.evaluation.metrics import Rollout
from vgil_ros.evaluation.plan import EvaluationPlan
from vgil_ros.evaluation.rollout import RolloutRunner
from vgil_ros.evaluation.sources import PolicySource
from vgil_ros.evaluation.stage import pipeline_for
from vgil_ros.robots.sim.simulation import SimWorld, drawn

AFTER_TICKS = 25  # that the policy gets after the hand-back, before the attempt ends


@dataclass(frozen=True)
class Patience:
    """By when the task must have come how far; else the human takes over.

    Attributes:
        half_ticks: by then the reward must be `half`. all_ticks: and by then the task done.
    """

    half_ticks: int = 200
    half: float = 2.0
    all_ticks: int = 340


@dataclass(frozen=True, eq=False)
class Watched:
    """An attempt.

    Attributes:
        rollout: as an evaluation has it.
        score, disagreement, novelty: (T,) at each tick; NaN where not known.
        taken_at: tick of the takeover; None where there was none.
        largest_step: largest share of a velocity limit in any tick.
        file: the recorded episode, where it was.
    """

    rollout: Rollout
    score: np.ndarray
    disagreement: np.ndarray
    novelty: np.ndarray
    taken_at: int | None
    largest_step: float
    file: Path | None


class WatchedRunner(RolloutRunner):
    """Plays attempts, one after another.

    Args:
        plan: task, robot, execution; its seeds are the caller's.
        source: the policy.
        familiar: of its training data.
        patience: of the human; None: nobody takes over, and nobody leads.
        dataset_dir: folder for the attempts that were corrected; None: nothing is recorded.
    """

    def __init__(
        self,
        plan: EvaluationPlan,
        source: PolicySource,
        familiar: Familiar | None,
        patience: Patience | None = None,
        dataset_dir: Path | None = None,
    ) -> None:
        contract, text = load_contract(plan.robot_name)
        streams = streams_of(contract, masters=patience is not None)
        self._sim = SimWorld(contract, plan.task, operator=patience is not None, streams=streams)
        pipeline = pipeline_for(plan, self._sim.layout, source, streams)
        length = plan.ticks if patience is None else 3 * plan.ticks
        super().__init__(self._sim, pipeline, source, latency=plan.latency, episode_len=length)
        self._patience, self.doubt = patience, DoubtMeter(1.0 / contract.rate_hz, familiar)
        self.takeover = None if patience is None else Takeover(self._sim.layout)
        self._pairing: Pairing[tuple[np.ndarray, dict[str, Any]]] = Pairing()
        self._sink = None
        if dataset_dir is not None:
            recording = Recording(
                contract, text, streams, dataset_dir, task=plan.task, min_free_bytes=0, takeover=patience is not None
            )
            self._sink = EpisodeSink(recording, ObservationBuilder(self._sim.layout, streams))
        velocity = self._sim.layout.limit("velocity")
        assert velocity is not None
        self._reach = velocity / contract.rate_hz

    def attempt(self, seed: int) -> Watched:
        """One attempt at the scene of a seed."""
        self.doubt.reset()
        self._doubts: list[tuple[float | None, float | None, float | None]] = []
        self._taken_at: int | None = None
        self._back_at: int | None = None
        self._pairing.clear()
        self._last: np.ndarray | None = None
        self._largest = 0.0
        if self._sink is not None:
            self._sink.open()
        rollout = self.run(seed)
        file = self._close(rollout)
        values = np.array([[np.nan if v is None else v for v in row] for row in self._doubts], float).reshape(-1, 3)
        return Watched(rollout, values[:, 0], values[:, 1], values[:, 2], self._taken_at, self._largest, file)

    def _close(self, rollout: Rollout) -> Path | None:
        """Keep the recording of an attempt that was corrected, and that succeeded."""
        if self._sink is None:
            return None
        if self._taken_at is None or not rollout.success:
            self._sink.discard().result()
            return None
        future: Future[EpisodeEnd | None] = self._sink.close(True, rollout=True)
        end = future.result()
        return None if end is None else end.path

    @property
    def done(self) -> bool:
        """At its length, or a moment after the hand-back."""
        back = self._back_at is not None and len(self._rewards) >= self._back_at + AFTER_TICKS
        return super().done or back

    def observed(self, tick: int, sample: Sample) -> None:
        """See `RolloutRunner.observed`."""
        if self._sink is not None:
            drawn_now = replace(sample, payloads=drawn(sample.payloads))
            self._pairing.observed(tick, drawn_now)
            self._record()
        here = measured_positions(self._sim.sync, self._sim.layout)
        if here is not None:
            self.doubt.observe(tick, here)

    def answered(self, tick: int, chunk: np.ndarray) -> None:
        """See `RolloutRunner.answered`."""
        self.doubt.predicted(tick, chunk, drawn=chunk.ndim == 3)

    def before_step(self) -> None:
        """The human looks at the robot, and takes over or hands back."""
        if self._patience is None:
            return
        self._loop.masters = self._readings()
        ticks, robot = len(self._rewards), self._sim.robot
        if self._taken_at is None:
            behind = ticks == self._patience.half_ticks and max(self._rewards) < self._patience.half
            if behind or (ticks == self._patience.all_ticks and not robot.success()):
                self._loop.take_over()
                self._taken_at = ticks
                assert self._sim.operator is not None
                self._sim.operator.take_over()
        elif self._back_at is None and robot.success() and self._operator_done():
            self._loop.hand_back(self._sim.now_ns)
            self._back_at = ticks

    def _operator_done(self) -> bool:
        assert self._sim.operator is not None
        return self._sim.operator.finished

    def _readings(self) -> Sequence[Reading | None]:
        found: list[Reading | None] = []
        assert self.takeover is not None
        for i in self.takeover.arms:
            arm = self._sim.layout.arms[i]
            newest = self._sim.sync.newest(f"{arm.arm.name}/master")
            found.append(None if newest is None else (arm.master.normalise(newest[1][POSITION]), newest[0]))
        return found

    def after_step(self, outcome: Outcome) -> None:
        """Remember the doubt, the step and the row."""
        self._doubts.append((self.doubt.score, self.doubt.disagreement, self.doubt.novelty))
        if outcome.command is None:
            return
        positions = outcome.command.positions
        if self._last is not None:
            self._largest = max(self._largest, float((np.abs(positions - self._last) / self._reach).max()))
        self._last = positions
        if self._sink is not None:
            self._pairing.acted(self._loop.tick, (positions.astype(np.float32), self._beside()))
            self._record()

    def _record(self) -> None:
        assert self._sink is not None
        for _, sample, (action, beside) in self._pairing.pairs():
            while self._sink.full:
                time.sleep(0.002)  # the encoding is behind: here, unlike on a robot, time can wait
            self._sink.push(sample, 0.0, action, beside)

    def _beside(self) -> dict[str, Any]:
        decision = self._loop.decision
        if decision is None:
            return {}
        return {
            "intervention": int(decision.intervention),
            "actor": int(decision.actor),
            "policy_action": None if decision.policy is None else decision.policy.astype(np.float32),
            "human_action": None if decision.human is None else decision.human.astype(np.float32),
        }

    @property
    def actor(self) -> Actor:
        """Who has the arms."""
        return Actor.POLICY if self.takeover is None else self.takeover.actor

    def close(self) -> None:
        """Free the images' context."""
        self._sim.close()


def auroc(failed: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the ROC curve of scores that should be higher where an attempt failed; ties count a half."""
    bad = np.array([s for s, f in zip(scores, failed, strict=True) if f])
    good = np.array([s for s, f in zip(scores, failed, strict=True) if not f])
    if not len(bad) or not len(good):
        return float("nan")
    wins = (bad[:, None] > good[None]).sum() + 0.5 * (bad[:, None] == good[None]).sum()
    return float(wins / (len(bad) * len(good)))
