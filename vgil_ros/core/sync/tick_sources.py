"""The four ways to choose ticks, behind one interface: which stamp is the next tick, and is it ripe?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import resample
from vgil_ros.core.sync.resample import Resampled
from vgil_ros.core.sync.stream_buffer import StreamBuffer
from vgil_ros.core.sync.types import StreamMiss

LATEST_STALE_NS = 500_000_000  # `latest` takes any age, as ALOHA does, but not a stream that is dead


class TickSource(Protocol):
    """One way to choose ticks."""

    def next_tick(self, buffers: Mapping[str, StreamBuffer], now_ns: int) -> tuple[int, bool] | None:
        """Return (stamp of the next tick, whether every stream that can decide it has), or None where none is due."""

    def done(self, tick_ns: int) -> None:
        """The tick was given out, complete or not."""

    def resample(self, buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
        """Take one stream's value at the tick."""


class ClockTicks:
    """Ticks on a uniform grid: `origin + k / rate`. Ripe when each stream has a sample at or after the tick."""

    def __init__(self, rate_hz: float, origin_ns: int) -> None:
        self.rate_hz = rate_hz
        self.origin_ns = origin_ns
        self.count = 0

    def next_tick(self, buffers: Mapping[str, StreamBuffer], now_ns: int) -> tuple[int, bool] | None:
        """The next point of the grid, once its time has come."""
        tick = self.origin_ns + round(self.count * 1e9 / self.rate_hz)  # from the count: no rounding adds up
        if now_ns < tick:
            return None
        return tick, all(buffer.stamps and buffer.stamps[-1] >= tick for buffer in buffers.values())

    def done(self, tick_ns: int) -> None:
        """Go to the next point."""
        self.count += 1

    def resample(self, buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
        """Interpolate joints and base, the nearest of the rest."""
        return resample.resample(buffer, spec, tick_ns)


class Latest(ClockTicks):
    """The grid of `ClockTicks`, with whatever came last at each tick (ALOHA)."""

    def next_tick(self, buffers: Mapping[str, StreamBuffer], now_ns: int) -> tuple[int, bool] | None:
        """The next point of the grid; there is nothing to wait for."""
        due = super().next_tick(buffers, now_ns)
        return (due[0], True) if due else None

    def resample(self, buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
        """The newest, whatever its age up to half a second."""
        return resample.latest(buffer, spec, tick_ns, LATEST_STALE_NS)


class CameraTicks:
    """Each frame of one camera is a tick. A frame that does not come is missed after one period of the contract."""

    def __init__(self, camera: str, rate_hz: float, origin_ns: int) -> None:
        self.camera = camera
        self.period_ns = round(1e9 / rate_hz)
        self.last_ns = origin_ns - 1

    def next_tick(self, buffers: Mapping[str, StreamBuffer], now_ns: int) -> tuple[int, bool] | None:
        """The first frame after the last tick; without one, a missed tick each period."""
        buffer = buffers[self.camera]
        at = buffer.at_or_after(self.last_ns + 1)
        if at < len(buffer):
            tick = buffer.stamps[at]
            return tick, all(r.stamps and r.stamps[-1] >= tick for r in buffers.values())
        due = self.last_ns + 2 * self.period_ns  # a camera slower than the rate is no dead one
        return (due, False) if now_ns >= due else None

    def done(self, tick_ns: int) -> None:
        """Look for frames after this one."""
        self.last_ns = tick_ns

    def resample(self, buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
        """Interpolate joints and base, the nearest of the rest."""
        return resample.resample(buffer, spec, tick_ns)


class MinStamp:
    """The oldest among the newest stamps is the tick (Cobot Magic's rule), at most at the contract's rate.

    A tick may come a quarter of a period early, as stamps jitter; over a longer time there are no more than the rate.
    """

    def __init__(self, rate_hz: float, origin_ns: int) -> None:
        self.period_ns = round(1e9 / rate_hz)
        self.early_ns = self.period_ns // 4
        self.last_ns = origin_ns - self.period_ns
        self.expected_ns = origin_ns

    def next_tick(self, buffers: Mapping[str, StreamBuffer], now_ns: int) -> tuple[int, bool] | None:
        """The stamp that every stream has reached, once it is time for a tick."""
        newest = [buffer.stamps[-1] if buffer.stamps else None for buffer in buffers.values()]
        reached = min((s for s in newest if s is not None), default=None)
        earliest = max(self.expected_ns, self.last_ns + self.period_ns) - self.early_ns
        if reached is not None and None not in newest and reached >= earliest:
            return reached, True
        due = self.last_ns + 2 * self.period_ns
        return (due, False) if now_ns >= due else None

    def done(self, tick_ns: int) -> None:
        """Look for later stamps."""
        self.last_ns = tick_ns
        self.expected_ns = max(self.expected_ns, tick_ns - self.early_ns) + self.period_ns

    def resample(self, buffer: StreamBuffer, spec: StreamSpec, tick_ns: int) -> Resampled | StreamMiss:
        """The nearest of every stream; nothing is interpolated."""
        return resample.nearest(buffer, spec, tick_ns)


def make_tick_source(name: str, rate_hz: float, origin_ns: int) -> TickSource:
    """Return the tick source that a (checked) contract names in `sync.method`."""
    if name.startswith("camera:"):
        return CameraTicks(name.removeprefix("camera:"), rate_hz, origin_ns)
    sources: dict[str, type[ClockTicks] | type[MinStamp]] = {
        "clock": ClockTicks,
        "latest": Latest,
        "min_stamp": MinStamp,
    }
    return sources[name](rate_hz, origin_ns)
