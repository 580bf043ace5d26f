"""Two ways of other projects to play chunks, written from their description, to be held against ours.

They are no modes of this package: `bench_latency.py` plays them through the same loop, safety limits and latencies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.execution.executor import ChunkExecutor, check_sizes, own_chunk
from vgil_ros.core.execution.plan import PlanExecutor
from vgil_ros.core.execution.prefix import Floats


class WeightedAverage(ChunkExecutor):
    """LeRobot's asynchronous inference with its usual values: `weighted_average`, `chunk_size_threshold` 0.5.

    A queue of actions by their number. The next one is performed at each tick; where there is none the robot waits, and
    nothing is skipped. Once no more than half of a chunk is left, the newest observation is sent, with the number of
    the last action performed. Row k of its chunk has that number and k more. Rows up to the last action performed are
    dropped, one whose number stands in the queue becomes 0.3 of the old and 0.7 of the new, and they are the queue from
    then on. (Its server also drops an observation that is too like the last one; here none is dropped.)

    Source: huggingface.co/docs/lerobot/async, and huggingface/lerobot, src/lerobot/async_inference.
    """

    def __init__(self, horizon: int, dim: int, threshold: float = 0.5, newer: float = 0.7) -> None:
        """`threshold`: share of a chunk that is left when the next one is asked for; `newer`: weight of the new row."""
        check_sizes(horizon, dim)
        self._horizon, self._dim, self._threshold, self._newer = horizon, dim, threshold, newer
        self.reset()

    def reset(self) -> None:
        """Forget the queue, and what was performed."""
        self._queue: dict[int, Floats] = {}  # ascending
        self._performed = -1
        self._performed_at: dict[int, int] = {}  # by tick
        self._given: tuple[int, Floats | None] | None = None

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """The chunk (H, D) becomes the queue, averaged with what stood there."""
        own = own_chunk(chunk, self._horizon, self._dim)
        first = max(self._performed_at.get(made_for_tick, self._performed), 0)
        queue = {}
        for number, row in enumerate(own, start=first):
            if number > self._performed:
                old = self._queue.get(number, row)
                queue[number] = (1.0 - self._newer) * old + self._newer * row
        self._queue = queue
        return bool(queue)

    def action(self, tick: int) -> Floats | None:
        """The next action (D,) of the queue, the same one however often a tick is asked for; None where it is empty."""
        if self._given is None or self._given[0] != tick:
            action = None
            if self._queue:
                self._performed = next(iter(self._queue))
                action = self._queue.pop(self._performed)
            self._performed_at[tick] = self._performed
            self._given = tick, action
        return self._given[1]

    def wants_inference(self, tick: int) -> bool:
        """Once no more than `threshold` of a chunk is left."""
        return len(self._queue) <= self._threshold * self._horizon

    def coming(self, tick: int) -> Floats:
        """The queue (K, D)."""
        return np.array(list(self._queue.values())).reshape(-1, self._dim)


class FixedFade(PlanExecutor):
    """A linear fade of fixed length from the old chunk to the new one, which begins when the new one arrives.

    Rows are by tick. Where the old chunk ends within the fade, its last row goes on.
    """

    def __init__(self, horizon: int, dim: int, fade_ticks: int = 10) -> None:
        """`fade_ticks`: 0.2 s at 50 Hz. The next chunk is asked for whenever none is under way."""
        super().__init__(horizon, dim, inference_period=1)
        self._fade_ticks = fade_ticks

    def reset(self) -> None:
        """Forget the chunk."""
        super().reset()
        self._next = 0  # the tick that is asked for next

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Fade a chunk (H, D) in from the next tick on, unless one made for this tick or a newer one came already."""
        fresh = self._fresh(made_for_tick, chunk)
        begin = max(made_for_tick, self._next)
        if fresh is None or begin >= made_for_tick + self._horizon:
            return False
        old, fresh = self.coming(begin), fresh[begin - made_for_tick :]
        for k in range(min(self._fade_ticks, len(fresh)) if len(old) else 0):
            share = k / self._fade_ticks
            fresh[k] = (1.0 - share) * old[min(k, len(old) - 1)] + share * fresh[k]
        self._newest, self._start, self._plan = made_for_tick, begin, fresh
        return True

    def action(self, tick: int) -> Floats | None:
        """The row (D,) of this tick, or None."""
        self._next = max(self._next, tick + 1)
        rows = self.coming(tick)
        return rows[0] if len(rows) else None
