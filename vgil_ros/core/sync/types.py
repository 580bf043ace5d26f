"""Results of the synchroniser: samples, misses and faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np


class Reason(str, Enum):
    """Why a stream has nothing for a tick."""

    SILENT = "silent"  # never came, or stopped coming
    LATE = "late"  # came, but outside its tolerance
    FROZEN = "frozen"  # new stamps, same content
    CLOCK = "clock"  # the clock itself jumped
    AHEAD = "ahead"  # stamped ahead of its arrival: by another clock


@dataclass(frozen=True, slots=True)
class StreamMiss:
    """One stream that is missing at a tick.

    `age_ns` is the tick less the nearest sample's stamp, None before any; how long a frozen stream has had the same
    content; how far the clock jumped back (negative: ahead); by how much stamps are ahead of their arrival.
    """

    stream: str
    reason: Reason
    age_ns: int | None

    def __str__(self) -> str:
        if self.age_ns is None:
            return f"{self.stream}: nothing received"
        if self.reason is Reason.CLOCK:
            far = abs(self.age_ns)
            words = f"{far / 1e9:.2f} s" if far >= 500_000_000 else f"{far / 1e6:.0f} ms"
            return f"{self.stream}: jumped {'back' if self.age_ns > 0 else 'ahead'} by {words}"
        if self.reason is Reason.FROZEN:
            return (
                f"{self.stream}: frozen, the same content for {self.age_ns / 1e6:.0f} ms (a scene that may stand still:"
                " `frozen_ms` in the contract)"
            )
        if self.reason is Reason.AHEAD:
            return f"{self.stream}: {ahead_words(self.age_ns)}"
        where = "old" if self.age_ns >= 0 else "ahead"
        return f"{self.stream}: {self.reason.value}, nearest sample {abs(self.age_ns) / 1e6:.0f} ms {where}"


def ahead_words(ahead_ns: int) -> str:
    """What is said of stamps that are ahead of their arrival."""
    return (
        f"stamped {ahead_ns / 1e6:.0f} ms ahead of its arrival: its clock or its driver is off; rows would pair old"
        " images with new joints (allowed: the clock of this computer, or `stamp: arrival` in the contract)"
    )


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """All streams at one tick.

    Attributes:
        tick: the tick's number since the start; numbers of missed ticks are left out.
        stamp_ns: the tick's time.
        payloads: one for each stream, in their order.
        skew_ns: (S,) int64, the used sample's stamp less the tick; 0 where interpolated.
        flags: (S,) uint8 of `core.streams.Flag`.
        arrival_ns: (S,) int64, when the used samples arrived, interpolated as the values are; 0 where nobody said.
    """

    tick: int
    stamp_ns: int
    payloads: tuple[Any, ...]
    skew_ns: np.ndarray
    flags: np.ndarray
    arrival_ns: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


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
