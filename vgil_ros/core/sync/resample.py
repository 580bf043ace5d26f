"""Resampling of one stream at a tick: interpolated, nearest, or whatever came last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vgil_ros.core.streams import Flag, StreamSpec
from vgil_ros.core.sync.stream_buffer import StreamBuffer
from vgil_ros.core.sync.types import Reason, StreamMiss


@dataclass(frozen=True, slots=True)
class Resampled:
    """One stream's value at a tick, and when it arrived (interpolated as the value is; 0 where nobody said)."""

    payload: Any
    skew_ns: int
    flag: Flag
    stamp_ns: int
    arrival_ns: int = 0


def interpolate(buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
    """The value on the line between the samples around the tick; exact for linear signals.

    Both must lie within the tolerance. Where only one does, it is taken as the nearest.
    """
    after = buffer.at_or_after(tick_ns)
    if after < len(buffer) and buffer.stamps[after] == tick_ns:
        return Resampled(buffer.payloads[after], 0, Flag.EXACT, tick_ns, buffer.arrivals[after])
    if 0 < after < len(buffer):
        before_ns, after_ns = buffer.stamps[after - 1], buffer.stamps[after]
        if tick_ns - before_ns <= spec.tolerance_ns and after_ns - tick_ns <= spec.tolerance_ns:
            weight = (tick_ns - before_ns) / (after_ns - before_ns)
            start, end = buffer.payloads[after - 1], buffer.payloads[after]
            first, last = buffer.arrivals[after - 1], buffer.arrivals[after]
            arrival = first + round(weight * (last - first)) if first and last else 0
            return Resampled(blend(start, end, weight, spec.quaternions), 0, Flag.INTERPOLATED, tick_ns, arrival)
    return nearest(buffer, spec, tick_ns)


def blend(start: np.ndarray, end: np.ndarray, weight: float, quaternions: tuple[int, ...] = ()) -> np.ndarray:
    """The value between two, at `weight` (0..1) of the way.

    Quaternions go the shorter way, straight and then normalised, within 1e-3 rad of the arc for turns of up to 0.5 rad;
    one of length 0, with which an IMU says that it knows none, stays as the line has it.
    """
    value: np.ndarray = start + weight * (end - start)
    for at in quaternions:
        first, last = start[..., at : at + 4], end[..., at : at + 4]
        if float(np.dot(first, last)) < 0:
            last = -last
        turned = first + weight * (last - first)
        length = float(np.linalg.norm(turned))
        value[..., at : at + 4] = turned / length if length > 0 else turned
    return value


def nearest(buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
    """The sample nearest to the tick, if it lies within the tolerance."""
    at = buffer.nearest(tick_ns)
    if at is None:
        return StreamMiss(spec.name, Reason.SILENT, None)
    skew = buffer.stamps[at] - tick_ns
    if abs(skew) > spec.tolerance_ns:
        silent = at == len(buffer) - 1 and skew < 0
        return StreamMiss(spec.name, Reason.SILENT if silent else Reason.LATE, -skew)
    flag = Flag.NEAREST if skew else Flag.EXACT
    return Resampled(buffer.payloads[at], skew, flag, buffer.stamps[at], buffer.arrivals[at])


def resample(buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
    """Interpolate what can be interpolated; the nearest of the rest."""
    between = spec.kind.interpolated and not spec.nearest
    return interpolate(buffer, spec, tick_ns) if between else nearest(buffer, spec, tick_ns)


def latest(buffer: StreamBuffer, spec: StreamSpec, tick_ns: int, stale_ns: int) -> Resampled | StreamMiss:
    """Whatever came last, unless it is older than `stale_ns`."""
    if not buffer.stamps:
        return StreamMiss(spec.name, Reason.SILENT, None)
    skew = buffer.stamps[-1] - tick_ns
    if -skew > stale_ns:
        return StreamMiss(spec.name, Reason.SILENT, -skew)
    return Resampled(buffer.payloads[-1], skew, Flag.LATEST, buffer.stamps[-1], buffer.arrivals[-1])
