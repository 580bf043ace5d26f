"""How long the machine kept a test's processes from running: by so much may a time measured on it be longer.

A bound of a second means a second in which the machine works. On a busy or virtual one it may stand still in between;
what a test allows for that is measured, while it runs, never guessed.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path

NAP_S = 0.01
LOOK_EVERY = 10  # naps between two looks at the watched processes
DISK_S, DISK_EVERY_S = 0.05, 0.1  # what a write to a disk that works may take; the pause between two
AROUND_S = 0.3  # before something is due: whoever is to do it works on it
MOST_S = 5.0  # put off at most
KEPT = 60_000  # naps remembered, ten minutes


class Ledger:
    """Seconds lost so far, by time."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], maxlen=KEPT)

    def add(self, at: float, seconds: float) -> None:
        """So much was lost since the last call, up to a time."""
        self._marks.append((at, self._marks[-1][1] + seconds))

    @property
    def until(self) -> float:
        """The time up to which it is known."""
        return self._marks[-1][0]

    def between(self, since: float, until: float) -> float:
        """What was lost in a span of time, and in what reaches into it."""
        marks = list(self._marks)
        before = max((lost for at, lost in marks if at <= since), default=marks[0][1])
        after = min((lost for at, lost in marks if at >= until), default=marks[-1][1])
        return after - before


class StallGauge:
    """A thread that naps, notes by how much it overslept, and how long watched processes waited for a processor.

    The first finds a machine that stands still as a whole, the second one whose processors are busy with others. Of
    each process the thread that waited longest counts, and these are added up, as a message meets them one after
    another; but no more is lost than time has passed. Given a folder, a second thread brings a little to its disk again
    and again, and notes what took longer than that should.
    """

    def __init__(self, disk: Path | None = None) -> None:
        self._watched: dict[int, dict[str, int]] = {}  # pid -> thread -> ns that it had waited at the last look
        self._stop = threading.Event()
        self._ledgers = [Ledger()]
        self._threads = [threading.Thread(target=self._run, args=(self._ledgers[0],), name="stall", daemon=True)]
        if disk is not None:
            self._ledgers.append(Ledger())
            arguments = (self._ledgers[1], disk)
            self._threads.append(threading.Thread(target=self._write, args=arguments, name="stall-disk", daemon=True))
        for thread in self._threads:
            thread.start()

    def watch(self, pid: int) -> None:
        """Count a process' waits from now on."""
        self._watched[pid] = _waits_ns(pid)

    def stood(self, since: float, until: float | None = None) -> float:
        """Seconds lost between two times of `time.monotonic` (to now by default), an upper bound."""
        end = time.monotonic() if until is None else until
        while any(ledger.until < end for ledger in self._ledgers) and not self._stop.is_set():
            time.sleep(NAP_S)  # the look that covers it has not been taken yet
        return sum(ledger.between(since, end) for ledger in self._ledgers)

    def later(self, due: float) -> float:
        """A time, put off by what the machine stood still around it: what was due then has come by then.

        Waits until that time. On a machine that does nothing else any more it is `MOST_S` later.
        """
        end = due
        while end < due + MOST_S and (put_off := due + self.stood(due - AROUND_S, end)) > end:
            end = put_off
        return end

    def close(self) -> None:
        """End it."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, ledger: Ledger) -> None:
        lost, last, round_ = 0.0, time.monotonic(), 0
        while not self._stop.is_set():
            time.sleep(NAP_S)
            now = time.monotonic()
            overslept = now - last - NAP_S
            lost, last, round_ = lost + (overslept if overslept > NAP_S else 0.0), now, round_ + 1
            if round_ % LOOK_EVERY == 0 or overslept > NAP_S:
                lost += sum(self._look(pid) for pid in list(self._watched)) / 1e9
                ledger.add(now, min(lost, now - ledger.until))
                lost = 0.0

    def _write(self, ledger: Ledger, folder: Path) -> None:
        path = folder / "stall_probe"
        with path.open("wb", buffering=0) as file:
            while not self._stop.is_set():
                began = time.monotonic()
                file.write(b"x" * 4096)
                os.fsync(file.fileno())
                now = time.monotonic()
                ledger.add(now, max(0.0, now - began - DISK_S))
                self._stop.wait(DISK_EVERY_S)
        path.unlink()

    def _look(self, pid: int) -> int:
        before, now = self._watched[pid], _waits_ns(pid)
        self._watched[pid] = now
        return max((waited - before.get(thread, 0) for thread, waited in now.items()), default=0)


def _waits_ns(pid: int) -> dict[str, int]:
    """How long each thread of a process has waited for a processor; nothing where the kernel does not tell."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found[folder.name] = int((folder / "schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return found
