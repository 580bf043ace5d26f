"""Detector of a stuck sensor: new stamps, the same content."""

from __future__ import annotations

from collections import deque
from typing import Any

RUNS = 8  # frozen runs that are remembered; a tick that waits looks back over the last ones only


class StuckSensorDetector:
    """Remembers since which stamp a stream's content is the same.

    A run that was long enough is remembered after it ends: what is said of a stamp must not depend on how many samples
    came since.
    """

    def __init__(self, limit_ns: int) -> None:
        self.limit_ns = limit_ns
        self._content: int | None = None
        self._since_ns = 0
        self._until_ns = 0
        self._ended: deque[tuple[int, int]] = deque(maxlen=RUNS)

    def saw(self, stamp_ns: int, content: int | None) -> None:
        """A sample came with this checksum of its content, None where its content proves nothing."""
        if content is not None and content == self._content:
            self._until_ns = max(stamp_ns, self._until_ns)
            return
        if self._content is not None and self._until_ns - self._since_ns >= self.limit_ns:
            self._ended.append((self._since_ns, self._until_ns))
        self._content, self._since_ns, self._until_ns = content, stamp_ns, stamp_ns

    def stuck_for(self, stamp_ns: int) -> int | None:
        """How long (ns) the content has been the same at a sample's stamp, None while that is short enough."""
        if not self._ended and stamp_ns - self._since_ns < self.limit_ns:
            return None
        for since_ns, until_ns in ((self._since_ns, self._until_ns), *self._ended):
            if since_ns <= stamp_ns <= until_ns and stamp_ns - since_ns >= self.limit_ns:
                return stamp_ns - since_ns
        return None

    def repeating_for(self, now_ns: int) -> int | None:
        """How long (ns) the newest content, once it was repeated, is old at a time; None while that is short enough."""
        age_ns = now_ns - self._since_ns
        return age_ns if self._until_ns > self._since_ns and age_ns >= self.limit_ns else None

    def state(self) -> list[Any]:
        """What it remembers, as JSON has it."""
        return [self._content, self._since_ns, self._until_ns, [list(run) for run in self._ended]]

    def restore(self, state: list[Any]) -> None:
        """Remember what another one did; see `state`."""
        self._content, self._since_ns, self._until_ns, ended = state
        self._ended = deque(((since, until) for since, until in ended), maxlen=RUNS)

    def clear(self) -> None:
        """Start anew."""
        self._content = None
        self._since_ns = self._until_ns = 0
        self._ended.clear()
