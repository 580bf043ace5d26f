"""Positions within the contract's limits, and steps no faster than it allows: else a unit or a limit is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.guard.predicates import beyond_range, looks_like_degrees
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety.entry import MEASURED_BEYOND
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.motion.contract import layout_of
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

FAR = 1.0  # rad, or a gripper's whole travel, beyond a limit: no sag and no play is that large
MANY = 0.25  # of the rows beyond the limits: a unit; a few rows are a reading that was wrong
FASTER, JUMP = 2.0, 10.0  # times the velocity limit: worth a look; no motion of this robot


@dataclass(frozen=True)
class _Column:
    """One joint of qpos or action: its values (T,), and what is allowed of them, in the units of its column."""

    stream: str
    name: str
    values: np.ndarray
    lower: float
    upper: float
    velocity: float
    gripper: bool

    def beyond(self, values: np.ndarray) -> np.ndarray:
        """(N,) bool: values (N,) that are more than a little beyond the limits."""
        return beyond_range(values, *map(np.asarray, (self.lower, self.upper, MEASURED_BEYOND)))

    @property
    def unit(self) -> str:
        return "" if self.gripper else " rad"


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name joints and rows beyond the limits, and steps beyond the velocity limit. Grippers are held to 0..1."""
    layout = layout_of(episode)
    if layout is None or episode.rows == 0:
        return
    period = _periods(episode)
    for column in _columns(episode, layout):
        beyond = list(_beyond(column))
        yield from beyond
        if not any(finding.message.endswith("degrees?") for finding in beyond):
            yield from _too_fast(column, period)


def _columns(episode: Episode, layout: Layout) -> Iterator[_Column]:
    grippers = {arm.gripper_column for arm in layout.arms}
    velocity = layout.limit("velocity")
    for stream, values in (("qpos", episode.qpos), ("action", episode.action)):
        for i in range(layout.joints):
            gripper = i in grippers
            low, high = (0.0, 1.0) if gripper else (float(layout.lower[i]), float(layout.upper[i]))
            most = float(velocity[i]) if velocity is not None else np.inf
            column = values[: episode.rows, i].astype(np.float64)
            yield _Column(stream, layout.joint_names[i], column, low, high, most, gripper)


def _beyond(column: _Column) -> Iterator[Finding]:
    values = column.values
    rows = np.flatnonzero(column.beyond(values))
    if not len(rows):
        return
    excess = np.maximum(column.lower - values, values - column.upper)
    worst = rows[np.argmax(excess[rows])]
    found = f"{column.stream} is {values[worst]:.4g}{column.unit}"
    low, high = f"{column.lower:.4g}", f"{column.upper:.4g}{column.unit}"
    if excess[worst] <= FAR:
        message = f"{found}; allowed: {low} to {high}, more than a little beyond"
        yield Finding("warning", "limits", column.name, message, spans(rows))
    elif not column.gripper and _in_degrees(column, float(values[worst]), len(rows)):
        yield Finding("error", "limits", column.name, f"{found}; allowed: {low} to {high}: degrees?", spans(rows))
    else:
        yield Finding("error", "limits", column.name, f"{found}; allowed: {low} to {high}", spans(rows))


def _in_degrees(column: _Column, worst: float, beyond: int) -> bool:
    """Whether many values are no angles in rad, and all of them would be if they were degrees."""
    values = column.values[np.isfinite(column.values)]
    return (
        beyond >= MANY * len(values)
        and looks_like_degrees(worst, column.lower, column.upper, MEASURED_BEYOND)
        and not column.beyond(np.radians(values)).any()
    )


def _too_fast(column: _Column, period: np.ndarray | None) -> Iterator[Finding]:
    if period is None or len(column.values) < 2 or (column.gripper and column.stream == "action"):
        return  # a person's hand closes a master's gripper faster than any motor follows
    with np.errstate(invalid="ignore"):
        speed = np.abs(np.diff(column.values)) / period
        rows = np.flatnonzero(speed > FASTER * column.velocity)
    if not len(rows):
        return
    worst = rows[np.argmax(speed[rows])]
    step = abs(column.values[worst + 1] - column.values[worst])
    message = (
        f"{column.stream} moves by {step:.3g}{column.unit} in a row, {speed[worst]:.3g}{column.unit}/s;"
        f" allowed: {column.velocity:.3g}{column.unit}/s"
    )
    if speed[worst] > JUMP * column.velocity and step > MEASURED_BEYOND:
        yield Finding("error", "limits", column.name, message, spans(rows + 1))
    else:
        yield Finding("warning", "limits", column.name, message, spans(rows + 1))


def _periods(episode: Episode) -> np.ndarray | None:
    """(T-1,) seconds from row to row, None where no rate is known; a row that stands still in time counts as one."""
    rate, stamps = episode.rate_hz, episode.stamp_ns
    if rate is None:
        return None
    if stamps is None or len(stamps) < episode.rows:
        return np.full(episode.rows - 1, 1.0 / rate)
    return np.maximum(np.diff(stamps[: episode.rows]) / 1e9, 0.5 / rate)
