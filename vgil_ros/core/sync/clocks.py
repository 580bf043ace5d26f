"""Judgement of clocks: a stream whose stamps are ahead of their arrival, and a computer's clock that is set.

A sample cannot arrive before it was taken. Where one clock stamps and receives, arrival less stamp is the delay of
the way, never below zero, however late or unsteady delivery is; below zero, two clocks differ by at least that much.
"""

from __future__ import annotations

from collections import deque
from typing import Any

AHEAD_NS = 5_000_000  # two clocks that are kept alike (NTP on one network) differ by less
ENOUGH = 3  # messages, in a second or in a row: one may be a driver's slip
WINDOW_NS = 1_000_000_000
SET_NS = 3_000_000  # reading two clocks one after the other takes less


class Ahead:
    """Whether stamps are ahead of their arrival by more than a limit, again and again."""

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._found: deque[tuple[int, int, int]] = deque(maxlen=ENOUGH)  # (arrival, number of the message, ahead)

    def saw(self, number: int, ahead_ns: int, now_ns: int) -> None:
        """A message came whose stamp is so far ahead."""
        if ahead_ns > self.limit_ns:
            self._found.append((now_ns, number, ahead_ns))

    @property
    def found(self) -> list[tuple[int, int, int]]:
        """The last messages that were ahead: (arrival, number of the message, by how much)."""
        return list(self._found)

    @found.setter
    def found(self, found: list[list[int]]) -> None:
        self._found = deque(((now, number, ahead) for now, number, ahead in found), maxlen=ENOUGH)

    def by(self, now_ns: int) -> int | None:
        """By how much (ns) they are ahead; None where they are not, or were not for a second."""
        if len(self._found) < ENOUGH:
            return None
        (since_ns, first, _), (last_ns, last, _) = self._found[0], self._found[-1]
        often = last_ns - since_ns <= WINDOW_NS or last - first < ENOUGH
        if not often or now_ns - last_ns > WINDOW_NS + (last_ns - since_ns):
            return None
        return max(ahead for _, _, ahead in self._found)


class StreamClock:
    """The delays of one stream, from stamp to arrival.

    Args:
        tolerance_ns: the stream's; ahead by more than that, its samples belong to other ticks.
    """

    def __init__(self, tolerance_ns: int) -> None:
        self._limit_ns = max(tolerance_ns, AHEAD_NS)
        self.clear()

    def clear(self) -> None:
        """Start anew: the time of arrival is another."""
        self._named, self._refused = Ahead(AHEAD_NS), Ahead(self._limit_ns)
        self._count = 0
        self._last_ns: int | None = None
        self._lowest: tuple[int | None, int | None] = (None, None)  # in this window, and in the one before
        self._window_ns = 0

    def saw(self, delay_ns: int, now_ns: int) -> None:
        """A sample arrived now, so long after its stamp."""
        self._count += 1
        self._last_ns = delay_ns
        self._named.saw(self._count, -delay_ns, now_ns)
        self._refused.saw(self._count, -delay_ns, now_ns)
        if not 0 <= now_ns - self._window_ns < WINDOW_NS:
            self._lowest, self._window_ns = (None, self._lowest[0]), now_ns
        lowest = self._lowest[0]
        self._lowest = (delay_ns if lowest is None else min(lowest, delay_ns), self._lowest[1])

    def state(self) -> list[Any]:
        """What its judgement rests on, as JSON has it."""
        return [self._count, self._last_ns, self._named.found, self._refused.found]

    def restore(self, state: list[Any]) -> None:
        """Judge as another one did; see `state`."""
        self._count, self._last_ns, self._named.found, self._refused.found = state

    @property
    def delay_ns(self) -> int | None:
        """The shortest delay of the last second or two; None before any."""
        return min((lowest for lowest in self._lowest if lowest is not None), default=None)

    def ahead(self, now_ns: int) -> int | None:
        """By how much (ns) stamps are ahead of their arrival; None where they are not."""
        return self._named.by(now_ns)

    def too_far_ahead(self, now_ns: int) -> int | None:
        """By how much (ns), where that is more than the stream's tolerance."""
        return self._refused.by(now_ns)

    def suspect(self) -> int | None:
        """By how much (ns) the newest sample alone is ahead, where that is more than the tolerance."""
        return None if self._last_ns is None or -self._last_ns <= self._limit_ns else -self._last_ns


class ClockWatch:
    """Tells when the computer's clock is set: it moves against the one that nobody sets.

    NTP that slews moves both alike; a step, of whatever size, moves one. So does a sleep of the computer.
    """

    def __init__(self) -> None:
        self._between_ns: int | None = None

    def saw(self, wall_ns: int, monotonic_ns: int) -> int:
        """Return by how much (ns) the clock was set since the last call, below 0 for back; 0 where it was not.

        Args:
            wall_ns, monotonic_ns: both clocks, read within a millisecond.
        """
        before, between = self._between_ns, wall_ns - monotonic_ns
        if before is None or abs(between - before) <= SET_NS:
            # kept as it was, so that small steps add up to one that is found
            self._between_ns = between if before is None else before
            return 0
        self._between_ns = between
        return between - before
