"""Tick numbers of a control loop whose turns jitter."""

from __future__ import annotations


class TickCounter:
    """Ticks of a loop whose turns jitter, and whose timer may drift from the clock that stamps the ticks.

    The next turn is the next tick for as long as that lies within `SLIP` of it, so that a phase near the half does not
    give one tick twice and leave out the following one. Beyond, it is the nearest tick.
    """

    SLIP = 0.8  # of a tick

    def __init__(self, rate_hz: float, origin_ns: int) -> None:
        self.rate_hz, self.origin_ns = rate_hz, origin_ns
        self._last: int | None = None

    def nearest(self, stamp_ns: int) -> int:
        """The tick nearest to a stamp."""
        return round((stamp_ns - self.origin_ns) * self.rate_hz / 1e9)

    def turn(self, now_ns: int) -> int:
        """The tick of a turn of the loop at this time."""
        exact = (now_ns - self.origin_ns) * self.rate_hz / 1e9
        tick = round(exact)
        if self._last is not None and abs(exact - (self._last + 1)) < self.SLIP:
            tick = self._last + 1
        self._last = tick
        return tick

    def stamp_ns(self, tick: int) -> int:
        """The time of a tick."""
        return self.origin_ns + round(tick * 1e9 / self.rate_hz)
