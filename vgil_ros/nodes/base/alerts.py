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
