"""Metrics of rollouts: how often a policy succeeds, how sure that is, how fast, how smoothly, at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from pydantic import Field

from vgil_ros.core.config import StrictModel

Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution


@dataclass(frozen=True)
class Rollout:
    """One rollout.

    Attributes:
        seed: of the scene.
        success: whether the task is done at the end.
        ret: the sum of the rewards of its ticks.
        highest_reward: of any tick.
        steps: ticks with a command.
        steps_to_success: ticks until the task was done for the first time, None where it never was.
        smoothness: of the commands, see `ActionPipeline.smoothness`.
        safety_events: by the name of the safety limit, ticks.
        ages_ms: of each chunk's observation when the chunk could first be played, simulated time.
        missed: ticks for which there was no complete observation.
        late: chunks that came too late to join on without a fade, counted in the mode `rtc`.
        lost: requests that were given up, in a latency trace.
    """

    seed: int
    success: bool
    ret: float
    highest_reward: float
    steps: int
    steps_to_success: int | None
    smoothness: Mapping[str, float] = field(default_factory=dict)
    safety_events: Mapping[str, int] = field(default_factory=dict)
    ages_ms: tuple[float, ...] = ()
    missed: int = 0
    late: int = 0
    lost: int = 0


class Percentiles(StrictModel):
    """Median and 99th percentile; None of nothing."""

    p50: float | None = None
    p99: float | None = None


class StepsToSuccess(StrictModel):
    """Ticks until the task was done, over the rollouts that succeeded; None where none did."""

    median: float | None
    slowest: int | None


class Smoothness(StrictModel):
    """Second differences of the commands, see `ActionPipeline.smoothness`: median of the p99s, and the largest."""

    p99: float | None
    max: float | None


class RolloutRow(StrictModel):
    """A rollout as it stands in a report; see `Rollout`. `ret` is called `return` in JSON."""

    seed: int
    success: bool
    highest_reward: float
    steps: int
    steps_to_success: int | None
    smoothness: Mapping[str, float]
    safety_events: Mapping[str, int]
    missed: int
    late: int
    lost: int = 0
    ret: float = Field(alias="return")
    observation_age_ms: Percentiles


class Metrics(StrictModel):
    """Figures of several rollouts.

    Attributes:
        success_interval_95: of the success rate, see `wilson`.
        highest_reward_at_least: rollouts by the reward, as text, that they reached.
        observation_age_ms: age of a chunk's observation when the chunk could first be played, simulated time.
        safety_events: by the name of the safety limit, ticks.
        missed_ticks: without a complete observation. late_chunks, lost_answers: see `Rollout`.
        rollouts: one row each, by seed.
    """

    episodes: int
    successes: int
    success_rate: float
    success_interval_95: tuple[float, float]
    average_return: float
    highest_reward_at_least: Mapping[str, int]
    steps_to_success: StepsToSuccess
    observation_age_ms: Percentiles
    safety_events: Mapping[str, int]
    smoothness: Smoothness
    missed_ticks: int
    late_chunks: int
    lost_answers: int = 0
    rollouts: tuple[RolloutRow, ...]


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval that holds a rate with the confidence of `z` (95 %).

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference". Unlike the normal
    approximation it is right for few trials and rates near 0 and 1.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise ValueError(f"successes {successes} of {trials}; allowed: 0 to the trials, at least one trial")
    rate, square = successes / trials, z * z / trials
    centre = (rate + square / 2) / (1 + square)
    half = z / (1 + square) * float(np.sqrt(rate * (1 - rate) / trials + square / (4 * trials)))
    return max(0.0, centre - half), min(1.0, centre + half)


def percentiles(values: Sequence[float]) -> Percentiles:
    """Median and 99th percentile of values."""
    if not len(values):
        return Percentiles()
    middle, high = np.percentile(np.asarray(values, np.float64), (50, 99))
    return Percentiles(p50=float(middle), p99=float(high))


def summarise(rollouts: Sequence[Rollout], max_reward: float) -> Metrics:
    """Return the figures of rollouts.

    Args:
        rollouts: at least one.
        max_reward: the task's reward of a success.
    """
    done = [r for r in rollouts if r.success]
    highest = [r.highest_reward for r in rollouts]
    steps = [r.steps_to_success for r in done if r.steps_to_success is not None]
    smoothness = [r.smoothness for r in rollouts if r.smoothness]
    safety_events: Counter[str] = Counter()
    for rollout in rollouts:
        safety_events.update(rollout.safety_events)
    return Metrics(
        episodes=len(rollouts),
        successes=len(done),
        success_rate=len(done) / len(rollouts),
        success_interval_95=wilson(len(done), len(rollouts)),
        average_return=float(np.mean([r.ret for r in rollouts])),
        highest_reward_at_least={str(r): sum(h >= r for h in highest) for r in range(int(max_reward) + 1)},
        steps_to_success=StepsToSuccess(
            median=float(np.median(steps)) if steps else None, slowest=max(steps, default=None)
        ),
        observation_age_ms=percentiles([age for r in rollouts for age in r.ages_ms]),
        safety_events=dict(sorted(safety_events.items())),
        smoothness=Smoothness(
            p99=float(np.median([s["p99"] for s in smoothness])) if smoothness else None,
            max=max((s["max"] for s in smoothness), default=None),
        ),
        missed_ticks=sum(r.missed for r in rollouts),
        late_chunks=sum(r.late for r in rollouts),
        lost_answers=sum(r.lost for r in rollouts),
        rollouts=tuple(_row(r) for r in rollouts),
    )


def _row(rollout: Rollout) -> RolloutRow:
    values = dict(vars(rollout))
    ages, ret = percentiles(values.pop("ages_ms")), values.pop("ret")
    values["safety_events"] = dict(sorted(rollout.safety_events.items()))
    return RolloutRow.model_validate({**values, "return": ret, "observation_age_ms": ages})
