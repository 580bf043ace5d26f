"""Temporal ensembling (ACT, arXiv:2304.13705, algorithm 2), indexed by tick.

At tick t the predictions that cover t, ordered by the tick q they were made for, weigh exp(-m i), i = 0 the oldest.

A running sum for each tick to come is enough when predictions arrive in order of q: a new one ranks last everywhere,
so its weight follows from how many cover the tick already, and gaps in q need no special case. Each sum has at most H
terms and goes once its tick has passed, so nothing drifts. (LeRobot's online form assumes one prediction a call, which
is wrong as soon as one is skipped; the original keeps T x (T + H) x D numbers and drops rows that hold a zero.)

A prediction that comes after newer ones ranks between them. The newer ones are then taken out of the sums and put back
behind it, which needs their values: the last `reorder` predictions are kept. To rank any order whatever, all H would
have to be (`reorder` = H). One that was overtaken by more than `reorder` is dropped, as if missing, and add_chunk
says so.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.executor import ChunkExecutor, check_sizes, check_ticks, own_chunk
from vgil_ros.core.execution.prefix import Floats


class TemporalEnsemble(ChunkExecutor):
    """ChunkExecutor that averages all predictions of a tick. Memory (reorder + 2) x H x D numbers, whatever T is."""

    def __init__(self, horizon: int, dim: int, coefficient: float = 0.01, reorder: int = 16) -> None:
        """`coefficient` is m: above 0 the oldest prediction weighs most, 0 is the plain mean, below 0 the newest."""
        check_sizes(horizon, dim)
        with np.errstate(over="ignore", invalid="ignore"):
            self._weights = np.exp(-coefficient * np.arange(horizon, dtype=np.float64))
        if not np.all(np.isfinite(self._weights)):
            raise VgilError(f"coefficient: {coefficient} gives weights that are not finite over {horizon} predictions")
        self._totals = np.concatenate(([np.nan], np.cumsum(self._weights)))  # by the number of predictions
        self._horizon, self._dim = horizon, dim
        self._reorder = check_ticks("reorder", reorder, 0, 1_000_000)
        self._sums = np.zeros((horizon, dim))  # row k: tick newest + k
        self._counts = np.zeros(horizon, dtype=np.intp)  # never grows with k: all predictions cover from row 0 on
        self.reset()

    def reset(self) -> None:
        """Forget every prediction."""
        self._sums[:] = 0.0
        self._counts[:] = 0
        self._newest: int | None = None
        self._settled: int | None = None  # the newest tick whose prediction can no longer be taken out
        self._ticks: list[int] = []  # ascending, with the chunks beside them
        self._chunks: list[Floats] = []

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Add a prediction (H, D). The first one for a tick stands; see the module for what comes too late."""
        own = own_chunk(chunk, self._horizon, self._dim)
        if self._newest is None or made_for_tick > self._newest:
            self._advance(made_for_tick)
            place = len(self._ticks)
        else:
            expired = made_for_tick + self._horizon <= self._newest
            settled = self._settled is not None and made_for_tick <= self._settled
            place = bisect_left(self._ticks, made_for_tick)
            if expired or settled or made_for_tick in self._ticks[place : place + 1]:
                return False
        self._insert(place, made_for_tick, own)
        return True

    def action(self, tick: int) -> Floats | None:
        """The weighted mean (D,) of the predictions that cover `tick`, or None."""
        row = self._row(tick)
        if row is None:
            return None
        mean: Floats = self._sums[row] / self._totals[self._counts[row]]
        return mean

    def wants_inference(self, tick: int) -> bool:
        """At every tick, once."""
        return self._newest is None or tick > self._newest

    def coming(self, tick: int) -> Floats:
        """The weighted means (K, D) from `tick` to the last tick that any prediction covers."""
        row = self._row(tick)
        if row is None:
            return np.empty((0, self._dim))
        rows = slice(row, int(np.count_nonzero(self._counts)))
        means: Floats = self._sums[rows] / self._totals[self._counts[rows], None]
        return means

    def _row(self, tick: int) -> int | None:
        if self._newest is None:
            return None
        row = tick - self._newest
        return row if 0 <= row < self._horizon and self._counts[row] else None

    def _advance(self, newest: int) -> None:
        """Move the window to [newest, newest + H) and let go of predictions that end before it."""
        steps = self._horizon if self._newest is None else min(newest - self._newest, self._horizon)
        kept = self._horizon - steps
        self._sums[:kept] = self._sums[steps:]
        self._sums[kept:] = 0.0
        self._counts[:kept] = self._counts[steps:]
        self._counts[kept:] = 0
        self._newest = newest
        ended = bisect_left(self._ticks, newest - self._horizon + 1)
        del self._ticks[:ended], self._chunks[:ended]

    def _insert(self, place: int, tick: int, chunk: Floats) -> None:
        self._ticks.insert(place, tick)
        self._chunks.insert(place, chunk)
        with np.errstate(invalid="ignore"):  # inf - inf: not finite before, not finite after
            for index in range(len(self._ticks) - 1, place, -1):
                self._take_out(index)
            for index in range(place, len(self._ticks)):
                self._put_last(index)
        if len(self._ticks) > self._reorder:
            self._settled = self._ticks.pop(0)
            del self._chunks[0]

    def _covered(self, index: int) -> Floats:
        """The rows of a kept prediction that lie in the window; they begin at its row 0."""
        assert self._newest is not None
        return self._chunks[index][self._newest - self._ticks[index] :]

    def _put_last(self, index: int) -> None:
        values = self._covered(index)
        counts = self._counts[: len(values)]
        self._sums[: len(values)] += self._weights[counts, None] * values
        counts += 1

    def _take_out(self, index: int) -> None:
        values = self._covered(index)
        counts = self._counts[: len(values)]
        counts -= 1
        self._sums[: len(values)] -= self._weights[counts, None] * values
