"""How long the machine kept a test's processes from running: by so much may a time measured on it be longer.

A bound of a second means a second in which the machine works. On a busy or virtual one it may stand still in between;
what a test allows for that is measured, while it runs, never guessed.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

NAP_S = 0.01
LOOK_EVERY = 10  # naps between two looks at the watched processes
KEPT = 60_000  # naps remembered, ten minutes


class StallGauge:
    """A thread that naps, notes by how much it overslept, and how long watched processes waited for a processor.

    The first finds a machine that stands still as a whole, the second one whose processors are busy with others. Waits
    of all threads of a process are added up, as what a message meets on its way through them is.
    """

    def __init__(self) -> None:
        self._watched: dict[int, dict[str, int]] = {}  # pid -> thread -> ns that it had waited at the last look
        self._marks: deque[tuple[float, float]] = deque([(time.monotonic(), 0.0)], maxlen=KEPT)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stall", daemon=True)
        self._thread.start()

    def watch(self, pid: int) -> None:
        """Count a process' waits from now on."""
        self._watched[pid] = _waits_ns(pid)

    def stood(self, since: float, until: float | None = None) -> float:
        """Seconds lost between two times of `time.monotonic` (to now by default), an upper bound."""
        end = time.monotonic() if until is None else until
        while self._marks[-1][0] < end and self._thread.is_alive():
            time.sleep(NAP_S)  # the look that covers it has not been taken yet
        marks = list(self._marks)
        before = max((lost for at, lost in marks if at <= since), default=marks[0][1])
        after = min((lost for at, lost in marks if at >= end), default=marks[-1][1])
        return after - before

    def close(self) -> None:
        """End it."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        lost, last, round_ = 0.0, time.monotonic(), 0
        while not self._stop.is_set():
            time.sleep(NAP_S)
            now = time.monotonic()
            overslept = now - last - NAP_S
            lost, last, round_ = lost + (overslept if overslept > NAP_S else 0.0), now, round_ + 1
            if round_ % LOOK_EVERY == 0 or overslept > NAP_S:
                lost += sum(self._look(pid) for pid in list(self._watched)) / 1e9
                self._marks.append((now, lost))

    def _look(self, pid: int) -> int:
        before, now = self._watched[pid], _waits_ns(pid)
        self._watched[pid] = now
        return sum(max(0, waited - before.get(thread, 0)) for thread, waited in now.items())


def _waits_ns(pid: int) -> dict[str, int]:
    """How long each thread of a process has waited for a processor; nothing where the kernel does not tell."""
    found = {}
    for folder in Path(f"/proc/{pid}/task").glob("*"):
        try:
            found[folder.name] = int((folder / "schedstat").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            continue
    return found
