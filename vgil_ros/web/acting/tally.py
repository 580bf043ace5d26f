"""How often a policy succeeded, by what its operators said: attempts of each checkpoint at each task, in memory.

The labels themselves are in the rollouts' files; this counts those that were given while the page ran.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vgil_ros.evaluation.metrics import wilson

VERDICTS = ("success", "failure", "unsure")
MOVING = ("running", "holding")


@dataclass
class Score:
    """Attempts of one checkpoint at one task. Each is one of `VERDICTS`, or "" where nothing was said of it."""

    attempts: list[str] = field(default_factory=list)

    def count(self, verdict: str) -> int:
        """How many attempts have it."""
        return self.attempts.count(verdict)

    @property
    def judged(self) -> int:
        """Attempts that were a success or a failure."""
        return self.count("success") + self.count("failure")

    def rate(self) -> tuple[float, float, float] | None:
        """Success rate and its interval of 95 % (Wilson), of the judged attempts; None before any."""
        if not self.judged:
            return None
        low, high = wilson(self.count("success"), self.judged)
        return self.count("success") / self.judged, low, high


class Tally:
    """Follows a policy's statuses: an attempt begins when it runs; its label may change until the next one."""

    def __init__(self) -> None:
        self.scores: dict[tuple[str, str], Score] = {}
        self._key: tuple[str, str] | None = None  # of the attempt at hand, or of the last one
        self._running = False

    def saw(self, values: Mapping[str, str]) -> None:
        """Take a status' values. A dry run is no attempt."""
        state, label = values.get("state", ""), values.get("label", "none")
        if values.get("dry_run") == "true":
            self.silent()
            return
        running = state in MOVING
        if running:
            key = (values.get("checkpoint", ""), values.get("task", ""))
            if self._running and self._key is not None and key != self._key:  # it counts as the task that it ends with
                self.scores[self._key].attempts.pop()
            if not self._running or key != self._key:
                self.scores.setdefault(key, Score()).attempts.append("")
            self._key = key
        self._running = running
        if self._key is not None and label in VERDICTS:
            self.scores[self._key].attempts[-1] = label

    def silent(self) -> None:
        """No policy is heard: nothing more is said of its last attempt."""
        self._running, self._key = False, None
