"""Asynchronous: the last chunk plays on while the next is being inferred; a new one is faded in over a few ticks.

A chunk made for tick q arrives some ticks later. Its first rows are past; the rest takes over from the plan being
played with a share that grows linearly from tick to tick: 1 / (blend + 1) at first, the whole from tick blend + 1 on.
Two predictions that differ by d therefore cost at most d / (blend + 1) a tick on top of their own motion.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.execution.executor import check_ticks
from vgil_ros.core.execution.plan import PlanExecutor
from vgil_ros.core.execution.prefix import Floats


class Asynchronous(PlanExecutor):
    """ChunkExecutor that plays one plan and fades newer chunks into it."""

    def __init__(self, horizon: int, dim: int, inference_period: int = 1, blend: int = 5) -> None:
        """`inference_period`: ticks between requests, 1 to H; `blend`: ticks a fade takes, 0 to H."""
        super().__init__(horizon, dim, inference_period)
        self._blend = check_ticks("blend", blend, 0, horizon)

    def reset(self) -> None:
        """Forget the plan."""
        super().reset()
        self._asked: int | None = None  # the last tick that was played

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Fade a chunk (H, D) into the plan, unless one made for this tick or a newer one is in it already."""
        own = self._fresh(made_for_tick, chunk)
        if own is None:
            return False
        begin = made_for_tick if self._asked is None else max(made_for_tick, self._asked)
        fresh = own[begin - made_for_tick :]
        if not len(fresh):
            return False
        if self._asked is not None and self._start <= self._asked < self._start + len(self._plan):
            fresh = fade(self._plan, begin - self._start, fresh, self._blend, played=begin == self._asked)
        self._newest, self._start, self._plan = made_for_tick, begin, fresh
        return True

    def action(self, tick: int) -> Floats | None:
        """The plan's row (D,) for this tick, or None."""
        self._asked = tick if self._asked is None else max(self._asked, tick)
        rows = self.coming(tick)
        return rows[0] if len(rows) else None


def fade(plan: Floats, first: int, fresh: Floats, blend: int, *, played: bool = False) -> Floats:
    """From a plan (K, D) to the fresh rows (N, D), the first of which is for the tick of the plan's row `first`.

    Where the old plan ends before the fade does, its last row goes on: a step there would be the jump to avoid.
    `blend`: ticks until the fresh rows are alone; `played`: the first row was played already and keeps its value.
    """
    count = min(blend + played, len(fresh))
    rows = plan[np.minimum(first + np.arange(count), len(plan) - 1)]
    share = (np.arange(count) + (not played)) / (blend + 1)
    mixed = fresh.copy()
    mixed[:count] = rows + share[:, None] * (fresh[:count] - rows)
    return mixed
