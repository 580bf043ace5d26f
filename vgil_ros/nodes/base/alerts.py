"""Alerts: what parts of a node need of it to speak to the operator, so that they run without ROS."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

Severity = Literal["info", "warning", "error"]


class Alerts(Protocol):
    """Log lines, and warnings that last as long as their condition. Every `VgilNode` is one."""

    def log(self, words: str, *, severity: Severity = "info") -> None:
        """Log a line."""

    def warn_once(self, key: str, message: str) -> None:
        """Warn once for as long as the condition `key` lasts, however often it is met."""

    def clear(self, key: str) -> None:
        """Log that the condition `key` is over, if it was warned of."""


class Clock(Protocol):
    """The time of a node. Every `VgilNode` is one."""

    def now_ns(self) -> int:
        """Now."""


class AlertingClock(Alerts, Clock, Protocol):
    """Both."""


class Problem(NamedTuple):
    """Something that stands in the way: `key` is the same for as long as it lasts, `detail` has the figures of now."""

    key: str
    detail: str

    def __str__(self) -> str:
        return self.detail


def summary(problems: tuple[Problem, ...]) -> str:
    """All of them in one line."""
    return "; ".join(problem.detail for problem in problems)


SAY_AGAIN_NS = 500_000_000  # once it is about others
REWORD_NS = 10_000_000_000  # once it is about the same ones, for other reasons


class Retelling:
    """When a warning of several problems is said again: soon where others are concerned, rarely where only reasons
    change. A stream may go to and fro between silent and frozen twice a second."""

    def __init__(self) -> None:
        self._keys: tuple[str, ...] = ()
        self._said_ns = 0

    def due(self, problems: tuple[Problem, ...], now_ns: int) -> bool:
        """Whether to say them now, though they were said before. True counts as said."""
        keys = tuple(problem.key for problem in problems)  # without ages and rates, which change all the time
        others = {key.partition(" ")[0] for key in keys} != {key.partition(" ")[0] for key in self._keys}
        if keys == self._keys or 0 <= now_ns - self._said_ns < (SAY_AGAIN_NS if others else REWORD_NS):
            return False
        self._keys, self._said_ns = keys, now_ns
        return True
