"""dm_env TimeSteps of a robot: specs made from the contract, observations made from synchronised payloads.

From samples to the rows of an episode: T+1 TimeSteps, T actions.

A sample waits until the next one comes, because only then is it known not to be the last: the last observation has no
action beside it, however the episode ends.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dm_env
import numpy as np
from dm_env import specs

from vgil_ros.core.layout import EFFORT, POSITION, VELOCITY, Layout
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync import Sample


class ObservationBuilder:
    """Turns the payloads of a tick into an observation, in the order qpos, qvel, effort, images, depth,
    vectors, base_vel.

    What the robot does not measure (velocity, effort) is left out, never filled with zeros; where it measures some
    joints alone, the others are NaN. Images stay as they came
    (`core.frame.Frame`): decoding is up to whoever needs pixels.
    """

    def __init__(self, layout: Layout, streams: tuple[StreamSpec, ...]) -> None:
        self.layout = layout
        names = [stream.name for stream in streams]
        arms = layout.contract.arms
        self._puppets = [names.index(f"{arm.name}/puppet") for arm in arms]
        masters = [f"{arm.name}/master" for arm in arms]
        self._masters = [names.index(m) for m in masters] if all(m in names for m in masters) else None
        self._images = [(s.name, i) for i, s in enumerate(streams) if s.kind is Kind.IMAGE]
        self._depths = [(s.name, i) for i, s in enumerate(streams) if s.kind is Kind.DEPTH]
        self._vectors = [(s.name, i) for i, s in enumerate(streams) if s.kind is Kind.VECTOR]
        self._base = names.index("base") if "base" in names else None

    def observation(self, payloads: tuple[Any, ...], marker: float = 0.0) -> OrderedDict[str, Any]:
        """Return the observation of a tick.

        Args:
            payloads: one for each stream, in their order.
            marker: the end marker's value, where the contract has one.

        Returns:
            qpos (D,) float32 rad (grippers 0..1), qvel (D,) rad/s and effort (D,) where any joint's is measured
            (NaN for the others), images and depth as
            OrderedDicts of frames by camera, vectors as one of (n,) float64 by name, base_vel (2,) float32
            [m/s, rad/s] where there is a base.
        """
        state = self.layout.state([payloads[i] for i in self._puppets])
        out: OrderedDict[str, Any] = OrderedDict(qpos=self._extended(state[POSITION], marker))
        for key, row in (("qvel", VELOCITY), ("effort", EFFORT)):
            measured = np.isfinite(state[row])
            if measured.any():
                out[key] = self._extended(np.where(measured, state[row], np.nan), 0.0)
        if self._images:
            out["images"] = OrderedDict((name, payloads[i]) for name, i in self._images)
        if self._depths:
            out["depth"] = OrderedDict((name, payloads[i]) for name, i in self._depths)
        if self._vectors:
            out["vectors"] = OrderedDict((name, payloads[i]) for name, i in self._vectors)
        if self._base is not None:
            out["base_vel"] = payloads[self._base].astype(np.float32)
        return out

    def action(self, payloads: tuple[Any, ...], marker: float = 0.0) -> np.ndarray:
        """Return the masters' action (D,) float32 at the same tick."""
        if self._masters is None:
            raise ValueError("these streams have no masters, so no action")
        return self._extended(self.layout.action([payloads[i] for i in self._masters]), marker)

    def _extended(self, values: np.ndarray, marker: float) -> np.ndarray:
        if self.layout.contract.end_marker:
            values = np.append(values, marker)
        return values.astype(np.float32)


def timestep(observation: Mapping[str, Any], *, first: bool, last: bool, reward: float = 0.0) -> dm_env.TimeStep:
    """Return a TimeStep: FIRST without reward, LAST with discount 0, MID between.

    Source: dm_env's API and semantics (docs/index.md there).
    """
    if first:
        return dm_env.restart(observation)
    if last:
        return dm_env.termination(reward, observation)
    return dm_env.transition(reward, observation)


def observation_spec(layout: Layout, *, velocity: bool = True, effort: bool = True) -> OrderedDict[str, Any]:
    """Specs of an observation whose images are pixels (H, W, 3) uint8 RGB and depths (H, W) uint16 mm."""
    contract, shape = layout.contract, (layout.dim,)
    out: OrderedDict[str, Any] = OrderedDict(qpos=specs.Array(shape, np.float32, "qpos"))
    if velocity:
        out["qvel"] = specs.Array(shape, np.float32, "qvel")
    if effort:
        out["effort"] = specs.Array(shape, np.float32, "effort")
    sizes = {camera.name: (camera.height, camera.width) for camera in contract.cameras}
    if layout.image_names:
        out["images"] = OrderedDict((n, specs.Array((*sizes[n], 3), np.uint8, n)) for n in layout.image_names)
    if layout.depth_names:
        out["depth"] = OrderedDict((n, specs.Array(sizes[n], np.uint16, n)) for n in layout.depth_names)
    if contract.vectors:
        out["vectors"] = OrderedDict((v.name, specs.Array((v.width,), np.float64, v.name)) for v in contract.vectors)
    if contract.base:
        out["base_vel"] = specs.Array((2,), np.float32, "base_vel")
    return out


def action_spec(layout: Layout) -> specs.BoundedArray:
    """Spec of an action (D,) float32: the joints' limits, grippers 0..1, then [m/s, rad/s] where there is a base."""
    lower, upper = list(layout.lower), list(layout.upper)
    for arm in layout.arms:
        if arm.gripper_column is not None:
            lower[arm.gripper_column], upper[arm.gripper_column] = 0.0, 1.0
    if layout.contract.end_marker:
        lower.append(0.0)
        upper.append(1.0)
    if layout.contract.base:
        limits = layout.contract.base.limits
        lower += [-limits.linear, -limits.angular]
        upper += [limits.linear, limits.angular]
    low, high = np.array(lower, np.float32), np.array(upper, np.float32)
    return specs.BoundedArray(low.shape, np.float32, low, high, "action")


@dataclass(frozen=True, slots=True, eq=False)
class EpisodeRow:
    """A TimeStep, the action (D,) given at it (None with the last), and the sample it was made from.

    Attributes:
        beside: further values of the row, by column; see `episodes.acting`.
    """

    timestep: dm_env.TimeStep
    action: np.ndarray | None
    sample: Sample
    beside: Mapping[str, Any] = field(default_factory=dict)


class RowBuilder:
    """Samples of one episode in, rows out, one sample behind."""

    def __init__(self, observations: ObservationBuilder) -> None:
        self._observations = observations
        self._waiting: tuple[Sample, float, np.ndarray | None, Mapping[str, Any]] | None = None
        self.rows = 0

    def push(
        self,
        sample: Sample,
        marker: float = 0.0,
        action: np.ndarray | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> EpisodeRow | None:
        """Take a sample and return the row of the one before it, if there is one.

        Args:
            sample: the sample.
            marker: the end marker's value, where the contract has one.
            action: what was done at it (D,); the masters' positions where None.
            beside: further values of the row, by column.
        """
        row = self._row(last=False) if self._waiting else None
        self._waiting = (sample, marker, action, beside or {})
        return row

    def end(self) -> EpisodeRow | None:
        """Return the last row, which has no action; None before any full row."""
        return self._row(last=True) if self._waiting and self.rows else None

    def _row(self, *, last: bool) -> EpisodeRow:
        assert self._waiting is not None
        sample, marker, action, beside = self._waiting
        step = timestep(self._observations.observation(sample.payloads, marker), first=self.rows == 0, last=last)
        self.rows += not last
        if action is None and not last:
            action = self._observations.action(sample.payloads, marker)
        return EpisodeRow(step, None if last else action, sample, {} if last else beside)
