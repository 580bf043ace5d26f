"""Plan of an evaluation: task, robot, scenes, execution mode."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

from vgil_ros.core.control.pipeline import ExecutionOptions
from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import Execution, KeptExecution, resolve_execution
from vgil_ros.evaluation.latency import PATIENCE_S, LatencyTrace
from vgil_ros.evaluation.report import EvaluationSettings
from vgil_ros.robots.worlds import usual_robot, usual_ticks


@dataclass(frozen=True)
class EvaluationPlan:
    """What is evaluated.

    Attributes:
        task: the simulated task, or the id of a Gymnasium environment.
        robot: a contract's name or path; None takes the task's usual one.
        episodes, seed: rollouts of the scenes `seed`, `seed + 1`, ...
        execution: how chunks are played (`core.execution.EXECUTORS`); None is as the checkpoint says, and the policy
            node's default where it says nothing. So are the next two.
        inference_period: ticks between requests, for the modes that have it.
        ensemble_coefficient: m of `temporal_ensemble`.
        latency_ms: simulated time of one inference. A fixed figure, so that a seed gives the same result on any load;
            `machine.inference_ms` in the report says what it really took.
        latency_trace: plays recorded latencies, and answers that never come, in its place.
        episode_len: ticks; None takes the task's usual length.
        device: where the policy runs.
        swap_images_from_seed: shows the policy the images of a demonstration of this scene in place of its own, to see
            whether it needs its cameras.
        watchdog_ms, max_age_ms, soft_start: as the policy node's parameters.
        remote_mapping: a YAML that says what a server calls observations and actions, where the policy is one's.
    """

    task: str
    robot: str | None = None
    episodes: int = 10
    seed: int = 0
    execution: str | None = None
    inference_period: int | None = None
    latency_ms: float = 20.0
    latency_trace: LatencyTrace | None = None
    episode_len: int | None = None
    device: str = "cpu"
    swap_images_from_seed: int | None = None
    ensemble_coefficient: float | None = None
    watchdog_ms: float = ExecutionOptions.silence_ns / 1e6
    max_age_ms: float = ExecutionOptions.age_ns / 1e6
    soft_start: float = ExecutionOptions.soft_start
    remote_mapping: Path | None = None

    def __post_init__(self) -> None:
        usual_ticks(self.task)  # before a usual robot is looked for that would not fit either
        numbers = (("episodes", 1), ("seed", 0), ("latency_ms", 0), ("watchdog_ms", 0), ("max_age_ms", 0))
        for name, low in numbers:
            if not getattr(self, name) >= low or not math.isfinite(getattr(self, name)):
                raise VgilError(f"{name} is {getattr(self, name)}; allowed: a finite number from {low}")
        if self.latency_ms >= PATIENCE_S * 1e3:
            raise VgilError(
                f"latency_ms is {self.latency_ms:g}; allowed: below {PATIENCE_S * 1e3:g}, when a rollout in which no"
                " action has come is given up"
            )
        if self.swap_images_from_seed is not None and self.swap_images_from_seed in self.seeds:
            raise VgilError(
                f"swap_images_from_seed is {self.swap_images_from_seed}, one of the scenes that are evaluated"
                f" ({self.seed} to {self.seeds[-1]}); allowed: another scene's"
            )

    @property
    def seeds(self) -> range:
        """One for each rollout."""
        return range(self.seed, self.seed + self.episodes)

    def for_checkpoint(self, kept: KeptExecution | None, horizon: int) -> EvaluationPlan:
        """The same plan with what a checkpoint (of chunks of `horizon` actions) says of how it is to be played."""
        given = Execution(self.execution, self.inference_period, self.ensemble_coefficient)
        played = resolve_execution(given, kept, horizon)
        return replace(
            self,
            execution=played.mode,
            inference_period=played.inference_period,
            ensemble_coefficient=played.ensemble_coefficient,
        )

    @property
    def mode(self) -> str:
        """The execution mode's name."""
        return self.execution or ExecutionOptions.execution

    @property
    def options(self) -> ExecutionOptions:
        """How chunks are played and when commands are refused."""
        return ExecutionOptions(
            self.mode,
            self.inference_period,
            self.ensemble_coefficient,
            silence_ns=round(self.watchdog_ms * 1e6),
            age_ns=round(self.max_age_ms * 1e6),
            soft_start=self.soft_start,
        )

    @property
    def latency(self) -> LatencyTrace:
        """Simulated time of each inference."""
        return self.latency_trace or LatencyTrace.constant(self.latency_ms / 1e3)

    @property
    def robot_name(self) -> str:
        """The contract's name or path."""
        return self.robot or usual_robot(self.task)

    @property
    def ticks(self) -> int:
        """Ticks of a rollout."""
        return self.episode_len or usual_ticks(self.task)

    @property
    def settings(self) -> EvaluationSettings:
        """The part of a report that says what was evaluated."""
        return EvaluationSettings(
            task=self.task,
            robot=self.robot_name,
            seed=self.seed,
            execution=self.mode,
            inference_period=self.inference_period,
            ensemble_coefficient=self.ensemble_coefficient,
            episode_len=self.ticks,
            latency_ms=self.latency_ms if self.latency_trace is None else None,
            latency_trace=None if self.latency_trace is None else self.latency_trace.name,
            watchdog_ms=self.watchdog_ms,
            max_age_ms=self.max_age_ms,
            soft_start=self.soft_start,
            swap_images_from_seed=self.swap_images_from_seed,
        )
