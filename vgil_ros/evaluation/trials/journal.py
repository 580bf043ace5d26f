"""Journal of a trial: JSON lines, each on the disk before anything goes on, each bound to the one before by its digest.

A process that is killed loses nothing but a line that it was just writing; what is left of such a line is cut off when
the trial is gone on with. A line that is altered, taken out or put in later breaks the chain at its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.trials.plan import TrialPlan
from vgil_ros.evaluation.trials.session import REPEATED, VERDICT_KEYS, AttemptRecord

if TYPE_CHECKING:
    from typing import Self

NAME = "journal.jsonl"
FIRST = "0" * 64  # the digest before the first line
KINDS = ("plan", "attempt", "resumed", "end")
ENDS = ("decided", "max")


@dataclass(frozen=True)
class Line:
    """A line.

    Attributes:
        kind: `plan` is the first, `attempt` each attempt, `resumed` a new beginning, `end` the last.
        values: what it says.
        time: UTC, ISO 8601.
    """

    kind: str
    values: dict[str, Any]
    time: str


@dataclass(frozen=True)
class ReadJournal:
    """What a journal's file holds.

    Attributes:
        lines: those that are well.
        digest: of the last of them.
        length: bytes of them.
        torn: bytes after them that are no whole line, as a killed process leaves them.
        fault: what was altered, in words; None where nothing was. Lines end before it.
    """

    lines: tuple[Line, ...]
    digest: str
    length: int
    torn: int = 0
    fault: str | None = None

    @property
    def plan(self) -> TrialPlan:
        """The first line's.

        Raises:
            VgilError: there is none.
        """
        if not self.lines or self.lines[0].kind != "plan":
            raise VgilError(f"{NAME}: its first line is no plan; allowed: a journal that `vgil trial` has begun")
        return TrialPlan.model_validate(self.lines[0].values)

    @property
    def attempts(self) -> list[AttemptRecord]:
        """Those of the attempts."""
        return [AttemptRecord(**line.values) for line in self.lines if line.kind == "attempt"]

    @property
    def end(self) -> str | None:
        """Why the trial is over; None where it is not."""
        return next((str(line.values["reason"]) for line in self.lines if line.kind == "end"), None)


def read_journal(path: Path) -> ReadJournal:
    """Read a journal and follow its chain.

    Raises:
        VgilError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise VgilError(f"{path}: cannot be read ({error.strerror}); allowed: the journal of a trial") from error
    lines: list[Line] = []
    digest, place = FIRST, 0
    *whole, rest = data.split(b"\n")
    for number, text in enumerate(whole, 1):
        line, fault = _parse(text, digest)
        if line is None:
            where = f"line {number}" if number == 1 else f"line {number}, or line {number - 1} before it"
            return ReadJournal(tuple(lines), digest, place, 0, f"{path.name}: {where} was altered: {fault}")
        lines.append(line)
        digest, place = hashlib.sha256(text).hexdigest(), place + len(text) + 1
    return ReadJournal(tuple(lines), digest, place, len(rest))


def _parse(text: bytes, before: str) -> tuple[Line | None, str]:
    try:
        values = json.loads(text)
        line, previous = Line(values["kind"], values["values"], values["time"]), values["previous"]
        if line.kind in KINDS:
            _check(line)
    except (ValueError, KeyError, TypeError):
        return None, "it is no line that was written here"
    if line.kind not in KINDS:
        return None, f"its kind is '{line.kind}'; allowed: {', '.join(KINDS)}"
    return (line, "") if previous == before else (None, "the digest of the line before does not fit")


def _check(line: Line) -> None:
    """Raise ValueError, KeyError or TypeError for values that a line of its kind does not have."""
    if line.kind == "plan":
        TrialPlan.model_validate(line.values)
    elif line.kind == "attempt":
        if AttemptRecord(**line.values).verdict not in (*VERDICT_KEYS.values(), REPEATED):
            raise ValueError(line.values)
    elif line.kind == "end" and line.values["reason"] not in ENDS:
        raise ValueError(line.values)


class Journal:
    """Writes a journal. One process at a time.

    Args:
        folder: of the trial.

    Attributes:
        found: what was there before.
        attempts: lines of attempts in it, with those that were written since.

    Raises:
        VgilError: another process writes it, or it was altered.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise VgilError(f"{self.path}: cannot be written ({error.strerror}); --out takes a folder") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._file)
            raise VgilError(f"{self.path}: another process runs this trial; allowed: one") from error
        found = read_journal(self.path)
        if found.fault is not None:
            os.close(self._file)
            raise VgilError(f"{folder}: {found.fault}; allowed: to go on only where nothing was")
        os.ftruncate(self._file, found.length)
        os.lseek(self._file, 0, os.SEEK_END)
        self.found, self._digest = found, found.digest
        self.attempts = len(found.attempts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Close it."""
        with contextlib.suppress(OSError):
            os.close(self._file)

    def write(self, kind: str, values: dict[str, Any]) -> None:
        """Write a line; it is on the disk when this returns. Ctrl-C comes after it, and then the line stands.

        Raises:
            VgilError: it cannot be written.
        """
        time = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
        line = {"kind": kind, "time": time, "values": values, "previous": self._digest}
        text = json.dumps(line, sort_keys=True, allow_nan=False).encode()
        with _uninterrupted():
            try:
                self._write_all(text + b"\n")
                os.fsync(self._file)
            except OSError as error:
                words = f"{self.path}: cannot be written ({error.strerror}); make room and run it again"
                raise VgilError(words) from error
            self._digest = hashlib.sha256(text).hexdigest()
            self.attempts += kind == "attempt"

    def _write_all(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._file, data) :]


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Put SIGINT off. A mask would not: the kernel gives it to another thread, and Python raises in this one."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:  # nothing is raised here
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)


def times_of(lines: Sequence[Line]) -> tuple[str, str]:
    """When a trial began and when its last line was written; empty of no lines."""
    return (lines[0].time, lines[-1].time) if lines else ("", "")
