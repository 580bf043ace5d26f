"""The last minutes of a policy, out of its statuses: timings, and every safety event by name. Time is an argument."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

KEPT_S = 300.0
EVENTS = "safety_events_"
TIMES = ("latency", "observation_age", "jitter", "tick")
MOST_POINTS = 2000
MOST_EVENTS = 4000


@dataclass(frozen=True, slots=True)
class TimingPoint:
    """Timings at one moment.

    Attributes:
        at_s: when.
        p50_ms, p99_ms: by a name of `TIMES`; those that the status had.
    """

    at_s: float
    p50_ms: Mapping[str, float]
    p99_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class SafetyEvent:
    """A limit stepped in.

    Attributes:
        at_s: when it was heard of.
        name: of the limit.
        ticks: in so many ticks since the status before.
        reason: in words, where the status told this limit's.
    """

    at_s: float
    name: str
    ticks: int
    reason: str


class PolicyHistory:
    """Collects statuses. What is older than `kept_s` is forgotten.

    Args:
        kept_s: how long back it goes.
    """

    def __init__(self, kept_s: float = KEPT_S) -> None:
        self.kept_s = kept_s
        self.timings: deque[TimingPoint] = deque(maxlen=MOST_POINTS)
        self.events: deque[SafetyEvent] = deque(maxlen=MOST_EVENTS)
        self.latencies: Mapping[float, int] = {}  # lower edge of a bin, ms -> inferences, since the policy was started
        self._counts: dict[str, int] | None = None

    def saw(self, now_s: float, values: Mapping[str, str]) -> None:
        """Take a status' values."""
        self._forget(now_s)
        self._count(now_s, values)
        middle, high = (_numbers(values, f"_{which}_ms") for which in ("p50", "p99"))
        if middle and values.get("state") in ("running", "holding"):
            self.timings.append(TimingPoint(now_s, middle, high))
        if "latency_histogram" in values:
            self.latencies = bins(values["latency_histogram"])

    def silent(self, now_s: float) -> None:
        """No policy is heard: whatever comes next counts from nothing."""
        self._forget(now_s)
        self._counts = None
        self.latencies = {}

    def _forget(self, now_s: float) -> None:
        for kept in (self.timings, self.events):
            while kept and now_s - kept[0].at_s > self.kept_s:
                kept.popleft()

    def _count(self, now_s: float, values: Mapping[str, str]) -> None:
        counts = {key[len(EVENTS) :]: int(float(text)) for key, text in values.items() if key.startswith(EVENTS)}
        before, self._counts = self._counts, counts
        if before is None:  # what was before anybody looked has no time
            return
        name, _, reason = values.get("last_safety_event", "").partition(": ")
        for limit, count in counts.items():
            past = before.get(limit, 0)
            more = count - past if count >= past else count  # an episode began: counted from nothing
            if more:
                self.events.append(SafetyEvent(now_s, limit, more, reason if limit == name else ""))


def _numbers(values: Mapping[str, str], ending: str) -> dict[str, float]:
    found = {}
    for name in TIMES:
        try:
            found[name] = float(values[name + ending])
        except (KeyError, ValueError):
            continue
    return found


def bins(text: str) -> dict[float, int]:
    """Bins of a histogram as a status has it, `10:3 14:41`; what cannot be read is left out."""
    found = {}
    for part in text.split():
        edge, _, count = part.partition(":")
        try:
            found[float(edge)] = int(count)
        except ValueError:
            continue
    return found
