"""Messages whose bytes are made once: of what a control loop sends, only a few numbers change from tick to tick.

Where those numbers stand is found by serialising the message with marks in their place, so nothing here knows how a
type is laid out. Making, checking and converting a Python message takes several times as long as writing the numbers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from rclpy.serialization import serialize_message

from vgil_ros.core.errors import VgilError

MARKS = -7.193e-201  # a number no message holds by itself; each float's mark is another multiple of it
SECOND = 1_000_000_000
STAMP_MARK_NS = 0x2B3C4D5E * SECOND + 0x1A2B3C4D  # seconds and nanoseconds that no message holds by itself


class Template:
    """A message with `count` float64 numbers, and a header with a stamp or none, to be filled in.

    Args:
        make: the message with these numbers, and this stamp (ns) where it has one.
        count: how many numbers.

    Raises:
        VgilError: where the bytes of the message do not show the marks once each.
    """

    def __init__(self, make: Callable[[list[float], int], Any], count: int) -> None:
        self._count = count
        marks = [MARKS * (k + 1) for k in range(count)]
        self._bytes = bytearray(serialize_message(make(marks, STAMP_MARK_NS)))
        self._order = "<" if self._bytes[1] & 1 else ">"
        places = [self._find(struct.pack(f"{self._order}d", mark)) for mark in marks]
        self._runs = [(at, struct.Struct(f"{self._order}{size}d")) for at, size in _runs(places)]
        mark = struct.pack(f"{self._order}iI", *divmod(STAMP_MARK_NS, SECOND))
        self._stamp = struct.Struct(f"{self._order}iI")
        self._stamp_at = self._find(mark) if mark in self._bytes else None

    def filled(self, values: Sequence[float], stamp_ns: int = 0) -> bytes:
        """The message's bytes with these `count` numbers and this stamp."""
        if len(values) != self._count:
            raise VgilError(f"message: found {len(values)} numbers, expected {self._count}")
        taken = 0
        for at, numbers in self._runs:
            size = numbers.size // 8
            numbers.pack_into(self._bytes, at, *values[taken : taken + size])
            taken += size
        if self._stamp_at is not None:
            self._stamp.pack_into(self._bytes, self._stamp_at, *divmod(stamp_ns, SECOND))
        return bytes(self._bytes)

    def _find(self, mark: bytes) -> int:
        if self._bytes.count(mark) != 1:
            raise VgilError(f"message: mark {mark.hex()} stands {self._bytes.count(mark)} times in its bytes, not once")
        return self._bytes.index(mark)


def _runs(places: Sequence[int]) -> list[tuple[int, int]]:
    """(where it begins, how many) for each run of float64 that stand side by side, in their order."""
    runs: list[tuple[int, int]] = []
    for place in places:
        if runs and place == runs[-1][0] + 8 * runs[-1][1]:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((place, 1))
    return runs
