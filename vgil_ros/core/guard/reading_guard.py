"""The guard between a joint message and everybody who would believe it.

A reading far outside a joint's range, one that the joint cannot have reached since the reading before, and the zero
count in every joint at once (a driver that has lost its servos publishes it with fresh stamps) are no readings. The
stream counts as missing then: whoever moves the robot holds, and whoever records has a miss.

After a jump it is not known which side of it was wrong. So a new place is believed once the readings have agreed with
each other for `settle_s` of arrivals. That is longer than any holder waits to hold, and from a hold every node goes on
slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.guard.predicates import ZERO_COUNT, beyond_range, lost_servos, out_of_range_words, reach
from vgil_ros.core.guard.ranges import Ranges, master_ranges, puppet_ranges

RESET_NS = 200_000_000  # what was measured before a reset of the scene has come by then
RETURN_S = 0.1  # that a joint may have gone on from the last good reading while others were refused, at most


@dataclass(frozen=True, slots=True, eq=False)
class _Reading:
    stamp_ns: int
    now_ns: int
    positions: np.ndarray


class ReadingGuard:
    """Judges one stream's readings, in the order of their arrival.

    Args:
        ranges: of the stream's joints, in the messages' units.
        settle_s: see above.
    """

    def __init__(self, ranges: Ranges, settle_s: float) -> None:
        self._ranges, self._settle_ns = ranges, round(settle_s * 1e9)
        self.reset()

    def reset(self, now_ns: int | None = None) -> None:
        """The next reading within the range is believed, and every one that arrives within `RESET_NS` of a time.

        Args:
            now_ns: when somebody has set the robot somewhere else; what was measured before may still be on its way.
        """
        self._reset_ns = now_ns
        self._good: _Reading | None = None
        self._candidate: _Reading | None = None  # after a jump: the newest that agrees with the ones before it
        self._since_ns = 0  # arrival of the first of those

    def state(self) -> list[Any]:
        """What its judgement rests on, as JSON has it."""
        readings = [r and [r.stamp_ns, r.now_ns, r.positions.tolist()] for r in (self._good, self._candidate)]
        return [self._reset_ns, self._since_ns, *readings]

    def restore(self, state: list[Any]) -> None:
        """Judge as another one did; see `state`."""
        self._reset_ns, self._since_ns, *readings = state
        made = [r and _Reading(r[0], r[1], np.array(r[2], np.float64)) for r in readings]
        self._good, self._candidate = made

    def judge(self, stamp_ns: int, now_ns: int, positions: np.ndarray) -> str | None:
        """Return why positions (J,) are no reading, or None where they are one.

        Args:
            stamp_ns: when they were measured.
            now_ns: when they arrived.
            positions: in the messages' units; NaN for a joint that is not judged.
        """
        wrong = self._impossible(positions)
        if wrong is not None:
            self._candidate = None
            return wrong
        reading = _Reading(stamp_ns, now_ns, positions)
        if self._believed(reading):
            self._good, self._candidate = reading, None
            return None
        assert self._good is not None
        return self._jump(self._good, reading)

    def _impossible(self, positions: np.ndarray) -> str | None:
        r = self._ranges
        if lost_servos(positions, r.arm):
            return f"every joint reads {ZERO_COUNT:.4f}: the driver has lost its servos"
        if beyond_range(positions, r.lower, r.upper, r.margin).any():
            return out_of_range_words(r.names, positions, r.lower, r.upper, r.margin)
        return None

    def _believed(self, reading: _Reading) -> bool:
        if self._good is None or self._just_reset(reading.now_ns):
            return True
        if self._candidate is None:
            if self._way(self._good, reading) <= 1.0:
                return True
            self._candidate, self._since_ns = reading, reading.now_ns
            return False
        from_good, from_candidate = self._way(self._good, reading, RETURN_S), self._way(self._candidate, reading)
        if from_good <= 1.0 and from_good <= from_candidate:  # back again: the jump was the lie
            return True
        if from_candidate > 1.0 or reading.now_ns < self._since_ns:
            self._since_ns = reading.now_ns
        self._candidate = reading
        return reading.now_ns - self._since_ns >= self._settle_ns

    def _just_reset(self, now_ns: int) -> bool:
        return self._reset_ns is not None and 0 <= now_ns - self._reset_ns <= RESET_NS

    def _way(self, before: _Reading, after: _Reading, most_s: float = np.inf) -> float:
        """The way between two readings in shares of what can be moved meanwhile; above 1 it cannot have been."""
        r = self._ranges
        seconds = min(_seconds(before, after), most_s)
        share = np.abs(after.positions - before.positions) / reach(seconds, r.velocity, r.speed)
        return float(np.nanmax(share, initial=0.0))

    def _jump(self, before: _Reading, after: _Reading) -> str:
        r = self._ranges
        seconds = _seconds(before, after)
        way = np.abs(after.positions - before.positions)
        share = np.nan_to_num(way / reach(seconds, r.velocity, r.speed))
        i = int(np.argmax(share))
        return (
            f"{r.names[i]} jumped by {way[i]:.3g} within {seconds * 1e3:.0f} ms, from {before.positions[i]:.4g} to"
            f" {after.positions[i]:.4g}; its velocity limit is {r.velocity[i]:.3g} a second"
        )


def _seconds(before: _Reading, after: _Reading) -> float:
    """Between two readings, by whichever clock says more: stamps may stand still, and arrivals may bunch."""
    return max(abs(after.stamp_ns - before.stamp_ns), abs(after.now_ns - before.now_ns)) / 1e9


def guards_of(contract: Contract) -> dict[str, ReadingGuard]:
    """The guards of a robot's joint streams, by the stream's name; none of those that its contract has put `off`."""
    settings = contract.guard
    ranges = {f"{arm.name}/puppet": puppet_ranges(arm, settings) for arm in contract.arms}
    ranges |= {f"{arm.name}/master": master_ranges(arm, settings) for arm in contract.arms if arm.master}
    return {name: ReadingGuard(r, settings.settle_s) for name, r in ranges.items() if name not in settings.off}
