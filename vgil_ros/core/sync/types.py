"""Results of the synchroniser: samples, misses and faults."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import numpy as np


class Reason(str, Enum):
    """Why a stream has nothing for a tick."""

    SILENT = "silent"  # never came, or stopped coming
    LATE = "late"  # came, but outside its tolerance
    FROZEN = "frozen"  # new stamps, same content
    CLOCK = "clock"  # the clock itself jumped


@dataclass(frozen=True, slots=True)
class StreamMiss:
    """One stream that is missing at a tick.

    `age_ns` is the tick less the nearest sample's stamp, None before any; how long a frozen stream has had the same
    content; how far the clock jumped back (negative: ahead).
    """

    stream: str
    reason: Reason
    age_ns: int | None

    def __str__(self) -> str:
        if self.age_ns is None:
            return f"{self.stream}: nothing received"
        if self.reason is Reason.CLOCK:
            return f"{self.stream}: jumped {'back' if self.age_ns > 0 else 'ahead'} by {abs(self.age_ns) / 1e9:.2f} s"
        if self.reason is Reason.FROZEN:
            return f"{self.stream}: frozen, the same content for {self.age_ns / 1e6:.0f} ms"
        where = "old" if self.age_ns >= 0 else "ahead"
        return f"{self.stream}: {self.reason.value}, nearest sample {abs(self.age_ns) / 1e6:.0f} ms {where}"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """All streams at one tick.

    Attributes:
        tick: the tick's number since the start; numbers of missed ticks are left out.
        stamp_ns: the tick's time.
        payloads: one for each stream, in their order.
        skew_ns: (S,) int64, the used sample's stamp less the tick; 0 where interpolated.
        flags: (S,) uint8 of `core.streams.Flag`.
    """

    tick: int
    stamp_ns: int
    payloads: tuple[Any, ...]
    skew_ns: np.ndarray
    flags: np.ndarray


@dataclass(frozen=True, slots=True)
class Miss:
    """A tick that could not be completed, the streams at fault, and what the gap policy makes of it."""

    tick: int
    stamp_ns: int
    streams: tuple[StreamMiss, ...]
    action: Literal["drop", "abort"]

    def __str__(self) -> str:
        return "; ".join(map(str, self.streams))


@dataclass(frozen=True, slots=True)
class Fault:
    """A sample that was refused or that cleared its stream, and why."""

    stream: str
    kind: Literal["jump_back", "duplicate", "no_stamp", "future", "old"]
    message: str

    def __str__(self) -> str:
        return f"{self.stream}: {self.message}"
