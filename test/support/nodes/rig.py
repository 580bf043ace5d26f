"""A recorder beside a fake robot, kept running through many tests: starting them takes longer than a test does."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus

from support.nodes.bench import Bench
from support.nodes.client import until
from support.process import Line
from vgil_ros.assets import load_contract
from vgil_ros.core.streams import streams_of

TRIES = 5
STALL_S = 0.1  # in a machine that works it is a hundredth of that


class Rig:
    """One robot and one recorder on a bench."""

    def __init__(self, bench: Bench, contract: Path, robot: tuple[str, ...] = (), **parameters: Any) -> None:
        self.bench = bench
        self.robot_streams = tuple(spec.name for spec in streams_of(load_contract(str(contract))[0]))
        self.robot = bench.robot(contract, *robot)
        self.recorder = bench.recorder(contract, **parameters)
        self.statuses = bench.client.status()
        self.robot.expect("^ready")

    @property
    def status(self) -> DiagnosticStatus | None:
        """The last status."""
        return self.statuses[-1][1] if self.statuses else None

    def value(self, key: str) -> str:
        """A value of the last status; "" before the first."""
        return next((pair.value for pair in self.status.values if pair.key == key), "") if self.status else ""

    def ready(self) -> None:
        """Wait until a status that is newer than this call says that nothing is wrong."""
        called = time.monotonic()

        def well() -> bool:
            return any(at > called and s.level == DiagnosticStatus.OK for at, s in self.statuses[-2:])

        until(well, f"all well: {self.summary()}")

    def summary(self) -> str:
        """What the status says, for messages."""
        return self.status.message if self.status else "no status yet"

    def command(self, name: str) -> str:
        """Call a service of the recorder, which must take it; return what it says."""
        answer = self.bench.client.call(f"/recorder/{name}")
        assert answer.success, answer.message
        return str(answer.message)

    def record(self, rows: int) -> int:
        """Start an episode and wait for its rows; return the place in the recorder's output before its start.

        A robot that the machine keeps waiting is silent on every stream; where that was so, it begins again.
        """
        for _ in range(TRIES):
            self.ready()
            since, began = self.recorder.mark(), time.monotonic()
            answer = self.bench.client.call("/recorder/start")
            why = answer.message if not answer.success else self._rows_or_early_end(rows, since)
            if not why:
                return since
            assert self.stalled(began), why
            until(lambda: self.value("state") == "idle", "idle after an early end")
        raise AssertionError(f"no {rows} rows in {TRIES} tries: {why}")

    def _rows_or_early_end(self, rows: int, since: int) -> str:
        """Wait for rows; return why the episode ended before, "" where it did not."""

        def early() -> str:
            lines = (line.text for line in self.recorder.lines[since:])
            return next((text for text in lines if "episode ended early" in text), "")

        def there() -> bool:
            return self.value("state") == "recording" and int(self.value("rows")) >= rows

        until(lambda: there() or early(), f"{rows} rows")
        return early()

    def stalled(self, since: float) -> bool:
        """Whether the machine kept the processes waiting for long enough to make streams silent."""
        return self.bench.gauge.stood(since) > STALL_S

    def saved(self, since: int) -> Path:
        """Wait for the next saved file."""
        line: Line = self.recorder.expect(r"saved \S+\.hdf5", since=since)
        return Path(re.search(r"saved (\S+\.hdf5(\.aborted)?)", line.text)[1])  # type: ignore[index]
