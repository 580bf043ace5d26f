"""Timing of a loop: its figures (period, jitter, how long things take), and its priority over others.

`prefer_control` and the functions after it let a process with a control loop, and above all the loop's thread, run
before others.

On a machine whose cores are all busy an ordinary thread wakes some milliseconds late, again and again; a real-time
one, within 0.1 ms. It sleeps nearly all the time, and the kernel leaves the others 5 % whatever it does. But it also
needs Python's global lock: a thread of its process that another process keeps from running, lock in hand, keeps the
loop waiting too. So the whole process gets a higher priority, not the loop alone.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from bisect import bisect_right
from collections import Counter, deque

import numpy as np


class Durations:
    """The last durations of one thing, in seconds."""

    def __init__(self, size: int = 500) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, seconds: float) -> None:
        """Take one."""
        self._values.append(seconds)

    def percentiles(self) -> tuple[float, float] | None:
        """Median and 99th percentile in ms, None before any."""
        if not self._values:
            return None
        middle, high = np.percentile(np.array(self._values) * 1e3, (50, 99))
        return float(middle), float(high)

    def mean(self) -> float | None:
        """Mean in seconds."""
        return float(np.mean(self._values)) if self._values else None


BIN_EDGES_MS = (0, 1, 2, 3, 5, 7, 10, 14, 20, 30, 50, 70, 100, 140, 200, 300, 500, 700, 1000, 2000, 5000)


class Histogram:
    """How many durations fell between one of `BIN_EDGES_MS` and the next, since it was made; the last bin is open."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def add(self, seconds: float) -> None:
        """Take one."""
        self._counts[max(0, bisect_right(BIN_EDGES_MS, seconds * 1e3) - 1)] += 1

    def text(self) -> str:
        """`10:3 14:41`: 3 from 10 ms on, 41 from 14 ms on; bins that hold none are left out."""
        return " ".join(f"{BIN_EDGES_MS[index]}:{count}" for index, count in sorted(self._counts.items()))


class Deadlines:
    """How far a loop's turns are from its absolute deadlines."""

    def __init__(self, period_s: float, size: int = 4000) -> None:
        self.period_s = period_s
        self.jitter = Durations(size)
        self.periods = Durations(size)
        self._last: float | None = None

    def turn(self, now_s: float) -> None:
        """A turn begins at a monotonic time."""
        if self._last is not None:
            self.periods.add(now_s - self._last)
            self.jitter.add(abs(now_s - self._last - self.period_s))
        self._last = now_s

    @property
    def rate_hz(self) -> float:
        """Turns a second."""
        mean = self.periods.mean()
        return 0.0 if not mean else 1.0 / mean


REALTIME = 10  # SCHED_FIFO, 1..99: above everything ordinary, below the kernel's own threads
NICER = 10  # of the other threads; 40 steps from -20 to 19
SWITCH_S = 0.0001  # between threads of Python: an inference thread must not keep the control loop waiting


def prefer_control() -> None:
    """Have this process go before others, and its threads take turns quickly. To be called before it starts any."""
    raise_priority()
    sys.setswitchinterval(SWITCH_S)


def freeze_garbage() -> None:
    """Collect no garbage by chance any more: none in the middle of a tick, nor in another thread, as all stand still
    meanwhile. What is here stays, and no later collection looks at it again. `collect_garbage` is to be called now and
    then."""
    gc.collect()
    gc.freeze()
    gc.disable()


def collect_garbage() -> None:
    """Collect what has come since."""
    gc.collect()


def raise_priority() -> bool:
    """Make the calling thread, and those that it starts from now on, nicer off; return whether that was allowed."""
    thread = threading.get_native_id()
    try:
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) - NICER)
    except (AttributeError, OSError):  # another system, or a user who may not
        return False
    return True


def set_realtime() -> str | None:
    """Make the calling thread a real-time one. Threads and processes that it starts do not inherit that.

    Returns:
        None where it now is one, else why not, in words.
    """
    try:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        os.sched_setscheduler(threading.get_native_id(), policy, os.sched_param(REALTIME))
    except AttributeError:
        return "this system offers none"
    except OSError as error:
        return str(error.strerror)
    return None
