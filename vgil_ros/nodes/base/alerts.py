"""Alerts: what parts of a node need of it to speak to the operator, so that they run without ROS."""

from __future__ import annotations

from collections.abc import Iterable
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


class Notes:
    """What was not as it should be during an episode: a line for each kind, however often and with whatever figures.

    Args:
        lines: what is known from the beginning.
    """

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._notes: dict[str, tuple[str, str, int]] = {}  # key: first words, newest words, how often
        for line in lines:
            self.add(line, line)

    def add(self, key: str, words: str) -> None:
        """Remember; `key` is the same for what is of one kind."""
        first, _, count = self._notes.get(key, (words, words, 0))
        self._notes[key] = (first, words, count + 1)

    def lines(self) -> tuple[str, ...]:
        """In words; of a kind whose words have changed, the first, the last, and how often there were any."""
        return tuple(
            first if first == last else f"{first} (the first of {count}; the last: {last})"
            for first, last, count in self._notes.values()
        )


def summary(problems: tuple[Problem, ...]) -> str:
    """All of them in one line."""
    return "; ".join(problem.detail for problem in problems)
