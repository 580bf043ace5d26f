"""Log of every command that a listener received, and the laws that each one must keep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from support.nodes.client import until as wait_until
from support.process import Process
from support.stall import StallGauge
from vgil_ros.assets import load_contract

SLACK = 1e-6


@dataclass(frozen=True)
class LoggedCommand:
    """One message: arrival (time.monotonic), header's stamp (ns, 0 without), topic, values."""

    at: float
    stamp: int
    topic: str
    values: np.ndarray


class Commands:
    """What a listener process prints, read and judged. `starts` are times at which the robot was taken up anew."""

    def __init__(self, listener: Process, contract: Path, gauge: StallGauge) -> None:
        self._listener, self._gauge = listener, gauge
        self.contract, _ = load_contract(str(contract))
        self.starts: list[float] = []

    @property
    def all(self) -> list[LoggedCommand]:
        """Every message so far."""
        found = []
        for line in list(self._listener.lines):
            if line.text.startswith("{"):
                read = json.loads(line.text)
                found.append(LoggedCommand(read["at"], read["stamp"], read["topic"], np.array(read["values"])))
        return found

    def on(self, topic: str, since: float = 0.0, until: float = np.inf) -> list[LoggedCommand]:
        """The messages on a topic in a span of time."""
        return [entry for entry in self.all if entry.topic == topic and since <= entry.at <= until]

    def assert_allowed(self, measured: dict[str, list[float]]) -> int:
        """Hold every message against the contract; return how many there are.

        Args:
            measured: where each arm stood when it was taken up, by the arm's name, in the robot's units.

        Raises:
            AssertionError: for the first message that breaks a law.
        """
        count = 0
        for arm in self.contract.arms:
            low, high, fastest = (np.array(v) for v in (arm.limits.lower, arm.limits.upper, arm.limits.velocity))
            reach = fastest / self.contract.rate_hz + SLACK
            before, starts = np.array(measured[arm.name]), sorted(self.starts)
            for entry in self.on(arm.command.topic):
                while starts and entry.at > starts[0]:
                    before = np.array(measured[arm.name])
                    del starts[0]
                assert np.isfinite(entry.values).all(), entry
                assert (entry.values >= low - SLACK).all(), (entry, low)
                assert (entry.values <= high + SLACK).all(), (entry, high)
                assert (np.abs(entry.values - before) <= reach).all(), (entry, before)
                before = entry.values
                count += 1
        return count + self._assert_base_allowed()

    def _assert_base_allowed(self) -> int:
        base = self.contract.base
        if base is None:
            return 0
        most = np.array([base.limits.linear, base.limits.angular]) + SLACK
        entry = self.on(base.command.topic)
        for message in entry:
            assert (np.abs(message.values) <= most).all(), message
        return len(entry)

    def wait_for_rest(self, count: int = 1) -> None:
        """Wait until the last so many commands to the base are zero: what a node said last is read after its end."""
        assert self.contract.base is not None
        topic = self.contract.base.command.topic
        wait_until(lambda: not any(entry.values.any() for entry in self.on(topic)[-count:]), "the base is at rest")

    def moved(self, since: float, until: float = np.inf) -> bool:
        """Whether any arm was sent anywhere else in a span of time."""
        spans = [np.array([h.values for h in self.on(a.command.topic, since, until)]) for a in self.contract.arms]
        return any(len(values) > 1 and np.ptp(values, axis=0).max() > SLACK for values in spans)

    def assert_holds(self, due: float, seconds: float, *, until: float = np.inf) -> bool:
        """From when a hold is due, put off by what the machine stood still, nothing moves for so many seconds.

        Where the hold ends by itself (`until`) before there is something to judge, returns False.
        """
        since = self._gauge.later(due)
        end = min(since + seconds, until)
        if end < since + 0.1:
            return False
        self._gauge.later(end + 0.05)  # what was sent by then has arrived
        self.assert_still(since, end)
        return True

    def assert_still(self, since: float, until: float = np.inf) -> None:
        """Between two times every position is the same, the base at rest, and the node goes on saying so."""
        for arm in self.contract.arms:
            entry = self.on(arm.command.topic, since, until)
            assert len(entry) > 2, f"{len(entry)} commands to {arm.name}"
            for message in entry:
                late = f"{(message.at - since) * 1e3:.0f} ms after it must be still: {message}, first {entry[0]}"
                assert np.abs(message.values - entry[0].values).max() <= SLACK, late
        if self.contract.base:
            for message in self.on(self.contract.base.command.topic, since, until):
                assert not message.values.any(), message
