"""Keeps a process that was put to sleep from taking its own absence for the silence of its streams.

On a busy machine a node may not run for 100 ms and more. When it wakes, its timer may come before the messages that
wait for it; a tick whose time is up by then would be given up although everything for it is there.
"""

from __future__ import annotations

GRACE_NS = 60_000_000  # to read what came meanwhile
MOST_NS = 400_000_000  # a longer sleep is not made up for: the middleware's queues are over by then


class StallGrace:
    """Shows the time up to which ticks may be given up: for a moment after a sleep, the time at which it began.

    Args:
        period_ns: between two calls of a process that is awake.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._last_ns: int | None = None
        self._reported_ns = self._until_ns = 0

    def time(self, now_ns: int) -> int:
        """Return the time to sample by, at most `now_ns`. To be called once a period."""
        last, self._last_ns = self._last_ns, now_ns
        if last is None or now_ns < last:
            self._until_ns = now_ns
        elif now_ns >= self._until_ns and now_ns - last > 4 * self._period_ns:
            self._reported_ns = max(last + self._period_ns, now_ns - MOST_NS)
            self._until_ns = now_ns + GRACE_NS
        return self._reported_ns if now_ns < self._until_ns else now_ns
