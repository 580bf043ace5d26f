"""Verdicts of `vgil episodes check`, for the episodes that somebody looks at: one at a time, in a process beside.

While an episode is being recorded into the folder nothing is checked: recording comes first.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.web.episodes.folders import dataset_of
from vgil_ros.web.episodes.listing import State
from vgil_ros.web.episodes.pictures import state_of
from vgil_ros.web.episodes.worker import Worker

WANTED_S, IDLE_S, LOOK_S = 5.0, 20.0, 0.5
KEPT = 20_000  # reports
ALIVE_S = 5.0  # a part that changed within so long is being recorded


@dataclass(frozen=True)
class Verdict:
    """What the check said of a file.

    Attributes:
        findings: errors first.
    """

    findings: tuple[Finding, ...]

    def count(self, severity: str) -> int:
        """How many findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def words(self) -> str:
        """In a word or two."""
        for severity in ("error", "warning"):
            if count := self.count(severity):
                return f"{count} {severity}{'s' if count > 1 else ''}"
        return "good"

    @property
    def reason(self) -> str:
        """The first error or warning, or nothing."""
        return next((str(one) for one in self.findings if one.severity != "info"), "")


class Verdicts:
    """Checks what is wanted, in a thread and a process of its own, which end when nothing is wanted for a while."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._wanted: OrderedDict[Path, float] = OrderedDict()
        self._known: OrderedDict[Path, tuple[State, Verdict]] = OrderedDict()
        self._thread: threading.Thread | None = None
        self._worker = Worker()
        self._closed = False
        self.version = 0  # counts verdicts

    def of(self, path: Path, state: State) -> Verdict | None:
        """What was said of a file as it is now; None: nothing yet."""
        known = self._known.get(path)
        return known[1] if known is not None and known[0] == state else None

    def want(self, paths: Iterable[Path]) -> None:
        """Somebody looks at these, the first first; said again every few seconds as long as it is so."""
        with self._lock:
            until = time.monotonic() + WANTED_S
            for path in paths:
                self._wanted[path] = until
            if self._wanted and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="verdicts", daemon=True)
                self._thread.start()
            self._lock.notify()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            self._lock.notify()
        self._worker.end()

    def _run(self) -> None:
        idle = time.monotonic()
        while True:
            path = self._next()
            if path is not None:
                self._check(*path)
                idle = time.monotonic()
                continue
            with self._lock:
                if self._closed or time.monotonic() - idle > IDLE_S:
                    self._thread = None
                    break
                self._lock.wait(LOOK_S)
        self._worker.end()

    def _next(self) -> tuple[Path, State] | None:
        with self._lock:
            now = time.monotonic()
            wanted = [path for path, until in self._wanted.items() if until > now]
            self._wanted = OrderedDict((path, self._wanted[path]) for path in wanted)
            if self._closed:
                return None
        busy: dict[Path, bool] = {}
        for path in wanted:
            with contextlib.suppress(EpisodeError):  # gone
                state, folder = state_of(path), dataset_of(path)
                if self.of(path, state) is None and not busy.setdefault(folder, is_recorded_into(folder)):
                    return path, state
        return None

    def _check(self, path: Path, state: State) -> None:
        try:
            verdict = _verdict(self._worker.ask({"do": "check", "path": str(path)}))
        except VgilError as error:
            if self._closed:
                return
            verdict = Verdict((Finding("error", "file", path.name, str(error)),))
        with self._lock:
            self._known[path] = (state, verdict)
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
            self.version += 1


def is_recorded_into(folder: Path) -> bool:
    """Whether an episode is being recorded into a folder."""
    for part in naming.parts_in(folder):
        with contextlib.suppress(OSError):
            if time.time() - part.stat().st_mtime < ALIVE_S:
                return True
    return False


def _verdict(report: Mapping[str, Any]) -> Verdict:
    findings = []
    for one in report["findings"]:
        rows = tuple((int(first), int(last)) for first, last in one["rows"])
        findings.append(Finding(one["severity"], one["check"], one["stream"], one["message"], rows))
    return Verdict(tuple(findings))
