"""History of a robot's figures over the last minutes: one for all viewers. Time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

KEEP_S = 180.0
EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Point:
    """Figures by name at a time (s)."""

    at_s: float
    figures: Mapping[str, float]


class History:
    """Figures by name, a point about once a second.

    Args:
        keep_s: how long a point is kept, s.
        every_s: between two points, s.
    """

    def __init__(self, keep_s: float = KEEP_S, every_s: float = EVERY_S) -> None:
        self.keep_s, self._every_s = keep_s, every_s
        self._points: deque[Point] = deque()

    def due(self, now_s: float) -> bool:
        """Whether a point is to be taken."""
        return not self._points or now_s - self._points[-1].at_s >= self._every_s

    def add(self, now_s: float, figures: Mapping[str, float]) -> None:
        """Take a point, and forget what is too old."""
        self._points.append(Point(now_s, dict(figures)))
        while self._points and now_s - self._points[0].at_s > self.keep_s:
            self._points.popleft()

    def update(self, now_s: float, figures: Callable[[], Mapping[str, float]]) -> None:
        """Take a point if one is due: whichever viewer asks first."""
        if self.due(now_s):
            self.add(now_s, figures())

    def series(self, name: str, now_s: float) -> list[tuple[float, float]]:
        """(seconds before now, value) of a figure, oldest first; points without it are left out."""
        return [(point.at_s - now_s, point.figures[name]) for point in self._points if name in point.figures]

    def most(self, name: str) -> float | None:
        """The largest value that is kept; None where there is none."""
        return max((point.figures[name] for point in self._points if name in point.figures), default=None)
