"""One tick of acting: chunks in, one safe command out. The node and the evaluation run the same code."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution import ChunkExecutor, Consistent, Prefix, executor_class, make_executor, measure_smoothness
from vgil_ros.core.guard.following import following_monitor, largest_errors
from vgil_ros.core.guard.ranges import qpos_ranges
from vgil_ros.core.layout import Layout, puppet_reader
from vgil_ros.core.safety import (
    ArmSilence,
    Command,
    Entry,
    FollowingLimit,
    JointLimits,
    Outcome,
    SafetyContext,
    SafetyPipeline,
    standard_limits,
)
from vgil_ros.core.streams import StreamSpec

SMOOTHNESS_OVER = 15_000  # ticks: the smoothness metric looks back over so many commands, so that memory stays flat
OBSERVATION = "observation"  # beside the streams' names: the newest complete tick
MARKER = 0.5  # an end marker above this, for as many ticks as the contract has rows, ends the episode


def joint_limits(layout: Layout) -> JointLimits:
    """The limits of a robot's joints, in units of the action (rad; grippers 0..1)."""
    velocity = layout.limit("velocity")
    assert velocity is not None
    names = layout.joint_names[: layout.joints]
    return JointLimits.of(layout.lower, layout.upper, velocity, layout.limit("acceleration"), names)


def safety_for(
    layout: Layout,
    max_age_ns: Mapping[str, int],
    *,
    max_silence_ns: int,
    soft_start: float = 0.2,
    following: bool = True,
) -> SafetyPipeline:
    """Every limit of a robot, in their standard order.

    Args:
        layout: the robot.
        max_age_ns: for each stream that the policy sees.
        max_silence_ns: how long the policy may be silent.
        soft_start: share of the velocity limits at which the robot goes to the first action.
        following: whether a joint that does not come after its commands holds.
    """
    base = layout.contract.base
    speeds = (base.limits.linear, base.limits.angular) if base else None
    joints = joint_limits(layout)
    monitor = following_monitor(layout) if following else None
    follows = None if monitor is None else FollowingLimit(joints, monitor, layout.contract.following.after_s)
    limits = standard_limits(joints, max_age_ns, max_silence_ns, speeds, soft_start, following=follows)
    ranges = qpos_ranges(layout)
    entry = Entry(joints, ranges.margin, clipped=~ranges.arm)
    silence = ArmSilence(_joints_of_streams(layout), max_age_ns)
    return SafetyPipeline(joints, limits, has_base=base is not None, entry=entry, silence=silence)


def _joints_of_streams(layout: Layout) -> dict[str, NDArray[np.bool_]]:
    """The joints (J,) of each puppet's stream that are where they are commanded, in time."""
    watched, found = np.isfinite(largest_errors(layout)), {}
    for arm in layout.arms:
        found[puppet_reader(arm.arm).stream] = which = np.zeros(layout.joints, bool)
        which[arm.columns] = watched[arm.columns]
    return found


class NoChunks(ChunkExecutor):
    """ChunkExecutor of a robot whose commands come from elsewhere: it asks for no chunk and plays none.

    Args:
        dim: D, values in an action.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Never used."""
        return False

    def action(self, tick: int) -> np.ndarray | None:
        """None."""
        return None

    def wants_inference(self, tick: int) -> bool:
        """Never."""
        return False

    def coming(self, tick: int) -> np.ndarray:
        """Nothing, (0, D)."""
        return np.empty((0, self._dim))

    def reset(self) -> None:
        """Nothing is remembered."""


@dataclass
class ActionPipeline:
    """Plays chunks through an executor and the safety limits.

    Attributes:
        layout: the robot.
        executor: plays chunks (H, A); `NoChunks` where commands come from elsewhere and only `send` is called.
        safety: judges every command.
        action_dim: A: the joints, the end marker where there is one, and with two more the base's velocity.
        sent: the last commands (J,) of the running episode, for the smoothness metric.
    """

    layout: Layout
    executor: ChunkExecutor
    safety: SafetyPipeline
    action_dim: int
    sent: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=SMOOTHNESS_OVER))

    def __post_init__(self) -> None:
        allowed = [self.layout.dim] + ([self.layout.dim + 2] if self.layout.contract.base else [])
        if self.action_dim not in allowed:
            raise VgilError(f"the policy's actions have {self.action_dim} values; allowed for this robot: {allowed}")
        self._marked = 0
        self.ended = False

    def reset(self) -> None:
        """Begin an episode: forget every chunk, start from where the robot is measured to be."""
        self.executor.reset()
        self.safety.reset()
        self.sent.clear()
        self._marked, self.ended = 0, False

    def proposal(self, tick: int) -> Command | None:
        """What the chunks ask for at a tick, before any limit; None where none covers it."""
        action = self.executor.action(tick)
        return None if action is None else self._command(action)

    def unmark(self) -> None:
        """What the policy said of the task's end is not to count: it did not act."""
        self._marked, self.ended = 0, False

    def prefix(self, tick: int) -> Prefix | None:
        """The prefix that the request about a tick's observation must carry; None in all modes but `rtc`."""
        return self.executor.prefix(tick)

    @property
    def late(self) -> int:
        """Chunks of this episode that came too late to join on without a fade, counted in `rtc`."""
        return self.executor.late

    def send(self, command: Command | None, context: SafetyContext) -> Outcome:
        """Judge a command (None holds) and remember what is sent."""
        outcome = self.safety.step(command, context)
        if outcome.command is not None:
            self.sent.append(outcome.command.positions)
        return outcome

    def _command(self, action: np.ndarray) -> Command:
        joints, marker = self.layout.joints, None
        if self.layout.contract.end_marker:
            marker = float(action[joints])
            self._marked = self._marked + 1 if marker > MARKER else 0
            self.ended = self.ended or self._marked >= self.layout.contract.end_marker.rows
        base = action[-2:] if self.action_dim > self.layout.dim else None
        return Command(action[:joints], base, marker)

    def smoothness(self) -> dict[str, float]:
        """Largest and 99th-percentile second difference of a joint's commands, by joint the worst."""
        if len(self.sent) < 3:
            return {}
        measured = measure_smoothness(np.stack(self.sent))
        return {"max": float(measured.second_difference_max.max()), "p99": float(measured.second_difference_p99.max())}


@dataclass(frozen=True)
class ExecutionOptions:
    """How commands are made and when they are refused. The defaults are those of every driver of the control loop.

    Attributes:
        execution: the mode (`core.execution.EXECUTORS`).
        inference_period: ticks between requests; None is the mode's usual.
        ensemble_coefficient: m of `temporal_ensemble`; None is its usual.
        silence_ns: how long the policy, or whoever else asks for commands, may be silent.
        age_ns: how old a stream, or the observation behind a command, may be.
        soft_start: share of the velocity limits at which the robot goes to the first action.
        following: whether a joint that does not come after its commands holds; not where none are sent.
        draws: chunks that a request asks for in `consistent`; None is its usual. 1 where all would be the same.
    """

    execution: str = "temporal_ensemble"
    inference_period: int | None = None
    ensemble_coefficient: float | None = None
    silence_ns: int = 200_000_000
    age_ns: int = 200_000_000
    soft_start: float = 0.2
    following: bool = True
    draws: int | None = None

    def safety(self, layout: Layout, streams: Sequence[StreamSpec]) -> SafetyPipeline:
        """The limits of a robot of which these streams, and the newest complete tick, must not be old."""
        ages = {spec.name: self.age_ns for spec in streams} | {OBSERVATION: self.age_ns}
        return safety_for(
            layout, ages, max_silence_ns=self.silence_ns, soft_start=self.soft_start, following=self.following
        )


@dataclass(frozen=True)
class ChunkSize:
    """The chunks (horizon, action_dim) of a policy, which wants `n_action_steps` rows of each to be played."""

    horizon: int
    action_dim: int
    n_action_steps: int


def make_action_pipeline(
    options: ExecutionOptions, layout: Layout, streams: Sequence[StreamSpec], chunk: ChunkSize
) -> ActionPipeline:
    """The pipeline for a policy's chunks.

    Raises:
        VgilError: for an unknown mode, or an option or a value that it does not take.
    """
    given: dict[str, Any] = {}
    if options.ensemble_coefficient is not None:
        given["coefficient"] = options.ensemble_coefficient
    slack = math.ceil(options.silence_ns / 1e9 * layout.contract.rate_hz)
    every = options.inference_period
    if every is None:
        every = executor_class(options.execution).default_inference_period(chunk.horizon, chunk.n_action_steps, slack)
    if every is not None:
        given["inference_period"] = every
    if options.draws is not None and issubclass(executor_class(options.execution), Consistent):
        given["draws"] = options.draws
    executor = make_executor(options.execution, chunk.horizon, chunk.action_dim, **given)
    return ActionPipeline(layout, executor, options.safety(layout, streams), chunk.action_dim)


def make_direct_pipeline(options: ExecutionOptions, layout: Layout, streams: Sequence[StreamSpec]) -> ActionPipeline:
    """The pipeline for commands that come one a tick from elsewhere: a caller's actions, an episode's."""
    return ActionPipeline(layout, NoChunks(layout.dim), options.safety(layout, streams), layout.dim)
