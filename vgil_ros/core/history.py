"""Past observations, looked up by stamp and never by the count of calls.

A late, doubled or missing tick makes the tick before last another distance away; what is asked for is a distance in
time. Where nothing was observed near that time, the answer is None, never some other observation.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Generic, TypeVar, cast

import numpy as np

from vgil_ros.core.observation import RobotFrame, RobotObservation, RobotPast

Item = TypeVar("Item")
SLACK_TICKS = 4  # that a request may be older than the newest observation


class History(Generic[Item]):
    """The observations of the last ticks.

    Args:
        obs_offsets: the distances that will be asked for, oldest first; empty keeps nothing.
        period_ns: time from tick to tick.
    """

    def __init__(self, obs_offsets: Sequence[int], period_ns: int) -> None:
        self.obs_offsets, self.period_ns = tuple(obs_offsets), period_ns
        self._reach_ns = (max(self.obs_offsets, default=0) + SLACK_TICKS + 1) * period_ns
        self._stamps: list[int] = []
        self._items: list[Item] = []

    def __len__(self) -> int:
        """Observations that are kept."""
        return len(self._stamps)

    def push(self, stamp_ns: int, item: Item) -> None:
        """Keep an observation. One with a known stamp takes its place; a late one is put where it belongs."""
        if not self.obs_offsets:
            return
        place = bisect_left(self._stamps, stamp_ns)
        if place < len(self._stamps) and self._stamps[place] == stamp_ns:
            self._items[place] = item
            return
        self._stamps.insert(place, stamp_ns)
        self._items.insert(place, item)
        old = bisect_left(self._stamps, self._stamps[-1] - self._reach_ns)
        del self._stamps[:old], self._items[:old]

    def past(self, stamp_ns: int) -> tuple[Item | None, ...]:
        """What was observed before `stamp_ns`, one for each of `obs_offsets`, None where unknown."""
        places = (nearest(self._stamps, stamp_ns, ticks, self.period_ns) for ticks in self.obs_offsets)
        return tuple(None if place is None else self._items[place] for place in places)

    def reset(self) -> None:
        """Forget everything: a new episode begins."""
        self._stamps.clear()
        self._items.clear()


def nearest(stamps_ns: Sequence[int] | np.ndarray, stamp_ns: int, ticks: int, period_ns: int) -> int | None:
    """Place of the stamp nearest to `ticks` before `stamp_ns`, at most half a period from it; else None.

    Args:
        stamps_ns: rising. Of two equally near, the older one is taken.
    """
    wanted = stamp_ns - ticks * period_ns
    right = bisect_left(stamps_ns, wanted)
    near = [place for place in (right - 1, right) if 0 <= place < len(stamps_ns)]
    if not near:
        return None
    place = min(near, key=lambda i: (abs(int(stamps_ns[i]) - wanted), i))
    return place if 2 * abs(int(stamps_ns[place]) - wanted) <= period_ns else None


def row_stamps(stamps_ns: np.ndarray | None, rows: int) -> np.ndarray | None:
    """(rows,) the rows' times; None where a recording has none, or not one for each row."""
    return None if stamps_ns is None or len(stamps_ns) < rows else stamps_ns[:rows]


def past_rows(
    row: int, obs_offsets: Sequence[int], stamps_ns: np.ndarray | None, period_ns: int | None
) -> tuple[int | None, ...]:
    """Rows of a recorded episode that lie `obs_offsets` before `row`, None where there is none.

    Args:
        stamps_ns: (T,) the rows' times, see `row_stamps`; where a recording has none, or no rate, its rows are taken
            to be the ticks.
    """
    if stamps_ns is None or period_ns is None:
        return tuple(row - ticks if ticks <= row else None for ticks in obs_offsets)
    before, stamp = stamps_ns[:row], int(stamps_ns[row])
    return tuple(nearest(before, stamp, ticks, period_ns) for ticks in obs_offsets)


def with_past(observation: RobotFrame, earlier: Sequence[RobotFrame | None]) -> RobotObservation:
    """Give an observation together with its past, under "past".

    Args:
        observation: {"qpos": (D,), "images": {camera: (H, W, 3)}, ...}, without batch axis.
        earlier: what was observed before, as long as the policy's obs_offsets (N); None where unknown.

    Returns:
        The observation with "past": {"qpos": (N, D), "images": {camera: (N, H, W, 3)}, "known": (N,) bool}; what is
        unknown is a copy of the present. With no `earlier`, the observation as it is.
    """
    result = cast(RobotObservation, dict(observation))  # what else the observation holds goes along
    if not earlier:
        return result
    frames = [observation if one is None else one for one in earlier]
    past: RobotPast = {
        "qpos": np.stack([frame["qpos"] for frame in frames]),
        "images": {name: np.stack([frame["images"][name] for frame in frames]) for name in observation["images"]},
        "known": np.array([one is not None for one in earlier]),
    }
    if "vectors" in observation:
        names = observation["vectors"]
        past["vectors"] = {name: np.stack([frame["vectors"][name] for frame in frames]) for name in names}
    result["past"] = past
    return result


def with_task(observation: RobotObservation, task: str) -> RobotObservation:
    """Give an observation together with its task, under "task"; as it is where the task is empty."""
    return {**observation, "task": task} if task else observation
