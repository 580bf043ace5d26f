"""When a frame was captured: the kernel's stamp, held against both clocks, to be told by that of ROS."""

from __future__ import annotations

import time
from dataclasses import dataclass

OLDEST_NS = 5_000_000_000  # before it is read: no buffer waits for longer
AHEAD_NS = 5_000_000  # of a clock that is read a moment later


@dataclass(frozen=True)
class Clocks:
    """Both clocks at one moment, in ns."""

    monotonic_ns: int
    wall_ns: int


def read_clocks(tries: int = 3) -> Clocks:
    """Read both clocks; of several readings the one that nothing came between."""
    best: tuple[int, Clocks] | None = None
    for _ in range(tries):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if best is None or after - before < best[0]:
            best = after - before, Clocks((before + after) // 2, wall)
    assert best is not None
    return best[1]


def age_ns(stamp_ns: int, now: Clocks) -> int | None:
    """Return how long ago a frame was captured; None where its stamp is of neither clock.

    Args:
        stamp_ns: the buffer's.
        now: both clocks as the frame is read.

    V4L2's stamps are of CLOCK_MONOTONIC, but drivers can be told otherwise (uvcvideo `clock=CLOCK_REALTIME`) and their
    flags do not say so: the clock that a stamp is near is its own.
    """
    for clock in (now.monotonic_ns, now.wall_ns):
        if -AHEAD_NS <= clock - stamp_ns <= OLDEST_NS:
            return clock - stamp_ns
    return None
