"""How one stream's value is taken at a tick: interpolated, nearest, or whatever came last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vgil_ros.core.streams import Flag, StreamSpec
from vgil_ros.core.sync.ring import Ring
from vgil_ros.core.sync.types import Reason, StreamMiss


@dataclass(frozen=True, slots=True)
class Pick:
    """One stream's value at a tick."""

    payload: Any
    skew_ns: int
    flag: Flag
    stamp_ns: int


def interpolate(ring: Ring, spec: StreamSpec, tick_ns: int) -> Pick | StreamMiss:
    """The value on the line between the samples around the tick; exact for linear signals.

    Both must lie within the tolerance. Where only one does, it is taken as the nearest.
    """
    after = ring.at_or_after(tick_ns)
    if after < len(ring) and ring.stamps[after] == tick_ns:
        return Pick(ring.payloads[after], 0, Flag.EXACT, tick_ns)
    if 0 < after < len(ring):
        before_ns, after_ns = ring.stamps[after - 1], ring.stamps[after]
        if tick_ns - before_ns <= spec.tolerance_ns and after_ns - tick_ns <= spec.tolerance_ns:
            weight = (tick_ns - before_ns) / (after_ns - before_ns)
            start, end = ring.payloads[after - 1], ring.payloads[after]
            return Pick(start + weight * (end - start), 0, Flag.INTERPOLATED, tick_ns)
    return nearest(ring, spec, tick_ns)


def nearest(ring: Ring, spec: StreamSpec, tick_ns: int) -> Pick | StreamMiss:
    """The sample nearest to the tick, if it lies within the tolerance."""
    at = ring.nearest(tick_ns)
    if at is None:
        return StreamMiss(spec.name, Reason.SILENT, None)
    skew = ring.stamps[at] - tick_ns
    if abs(skew) > spec.tolerance_ns:
        silent = at == len(ring) - 1 and skew < 0
        return StreamMiss(spec.name, Reason.SILENT if silent else Reason.LATE, -skew)
    return Pick(ring.payloads[at], skew, Flag.NEAREST if skew else Flag.EXACT, ring.stamps[at])


def pick(ring: Ring, spec: StreamSpec, tick_ns: int) -> Pick | StreamMiss:
    """Interpolate what can be interpolated; the nearest of the rest."""
    return interpolate(ring, spec, tick_ns) if spec.kind.interpolated else nearest(ring, spec, tick_ns)


def latest(ring: Ring, spec: StreamSpec, tick_ns: int, stale_ns: int) -> Pick | StreamMiss:
    """Whatever came last, unless it is older than `stale_ns`."""
    if not ring.stamps:
        return StreamMiss(spec.name, Reason.SILENT, None)
    skew = ring.stamps[-1] - tick_ns
    if -skew > stale_ns:
        return StreamMiss(spec.name, Reason.SILENT, -skew)
    return Pick(ring.payloads[-1], skew, Flag.LATEST, ring.stamps[-1])
