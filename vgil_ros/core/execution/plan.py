"""One plan that is played row by row: the base of open loop, asynchronous and real-time chunking."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.execution.executor import ChunkExecutor, check_sizes, check_ticks, own_chunk
from vgil_ros.core.execution.prefix import Floats


class PlanExecutor(ChunkExecutor):
    """Keeps the plan (K, D), the tick of its first row, and which prediction is the newest in it."""

    def __init__(self, horizon: int, dim: int, inference_period: int) -> None:
        """`inference_period`: ticks between requests, 1 to H."""
        check_sizes(horizon, dim)
        self._horizon, self._dim = horizon, dim
        self._inference_period = check_ticks("inference_period", inference_period, 1, horizon)
        self.reset()

    def reset(self) -> None:
        """Forget the plan."""
        self._newest: int | None = None  # the tick that the newest prediction was made for
        self._start = 0  # the tick of the plan's first row
        self._plan = np.empty((0, self._dim))

    def wants_inference(self, tick: int) -> bool:
        """When `inference_period` ticks have passed since the tick of the newest prediction."""
        return self._newest is None or tick - self._newest >= self._inference_period

    def coming(self, tick: int) -> Floats:
        """The rest (K, D) of the plan."""
        if tick < self._start:
            return np.empty((0, self._dim))
        return self._plan[tick - self._start :].copy()

    def _fresh(self, made_for_tick: int, chunk: ArrayLike) -> Floats | None:
        """The chunk as an own copy (H, D); None unless it is newer than what is in the plan."""
        own = own_chunk(chunk, self._horizon, self._dim)
        return None if self._newest is not None and made_for_tick <= self._newest else own
