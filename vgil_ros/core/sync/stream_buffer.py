"""A bounded, ordered store of one stream's (stamp, payload)."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any


class StreamBuffer:
    """Samples by rising stamp, with when each arrived. The oldest go when it is full or when `forget` says so."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.stamps: list[int] = []
        self.payloads: list[Any] = []
        self.arrivals: list[int] = []  # 0 where nobody said

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def newest(self) -> int | None:
        """Stamp of the newest sample, None where there is none."""
        return self.stamps[-1] if self.stamps else None

    def push(self, stamp_ns: int, payload: Any, arrival_ns: int = 0) -> bool:
        """Put a sample in its place. Returns False, and keeps the first, where that stamp is already there."""
        if not self.stamps or stamp_ns > self.stamps[-1]:
            self.stamps.append(stamp_ns)
            self.payloads.append(payload)
            self.arrivals.append(arrival_ns)
        else:
            at = bisect_left(self.stamps, stamp_ns)
            if self.stamps[at] == stamp_ns:
                return False
            self.stamps.insert(at, stamp_ns)
            self.payloads.insert(at, payload)
            self.arrivals.insert(at, arrival_ns)
        if len(self.stamps) > self.capacity:
            del self.stamps[0], self.payloads[0], self.arrivals[0]
        return True

    def at_or_after(self, stamp_ns: int) -> int:
        """Index of the first sample at or after a stamp; `len(self)` where there is none."""
        return bisect_left(self.stamps, stamp_ns)

    def nearest(self, stamp_ns: int) -> int | None:
        """Index of the sample nearest to a stamp (the earlier of two as near), None where there is none."""
        if not self.stamps:
            return None
        after = bisect_left(self.stamps, stamp_ns)
        if after == 0:
            return 0
        if after == len(self.stamps):
            return after - 1
        return after if self.stamps[after] - stamp_ns < stamp_ns - self.stamps[after - 1] else after - 1

    def forget(self, before_ns: int, keep: int = 1) -> None:
        """Drop what is older than a stamp, but keep so many samples from before it."""
        count = bisect_left(self.stamps, before_ns) - keep
        if count > 0:
            del self.stamps[:count], self.payloads[:count], self.arrivals[:count]

    def clear(self) -> None:
        """Drop everything."""
        self.stamps.clear()
        self.payloads.clear()
        self.arrivals.clear()
