"""The gap policy, for a tick at which streams are missing: hold, drop or abort."""

from __future__ import annotations

from typing import Literal

from vgil_ros.core.streams import Flag
from vgil_ros.core.sync.resample import Resampled
from vgil_ros.core.sync.types import StreamMiss


class GapPolicy:
    """`hold` repeats a stream's last value, marked, at most `max_hold` ticks in a row; `drop` leaves the tick out."""

    def __init__(self, on_miss: Literal["hold", "drop", "abort"], max_hold: int, streams: int) -> None:
        self.on_miss = on_miss
        self.max_hold = max_hold
        self._last: list[Resampled | None] = [None] * streams
        self._held = [0] * streams

    def fill(self, resampled: list[Resampled | StreamMiss], tick_ns: int) -> list[Resampled] | Literal["drop", "abort"]:
        """Return one value for each stream, or what is to be done with the tick."""
        filled: list[Resampled] = []
        for i, entry in enumerate(resampled):
            if isinstance(entry, Resampled):
                self._last[i], self._held[i] = entry, 0
                filled.append(entry)
                continue
            self._held[i] += 1
            last = self._last[i]
            if self.on_miss == "hold" and last is not None and self._held[i] <= self.max_hold:
                skew = last.stamp_ns - tick_ns
                filled.append(Resampled(last.payload, skew, Flag.HELD, last.stamp_ns, last.arrival_ns))
        if len(filled) == len(resampled):
            return filled
        return "drop" if self.on_miss == "drop" else "abort"
