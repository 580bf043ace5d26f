"""Open loop: play one chunk, ask again every n ticks (ACT without temporal ensembling)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.execution.executor import Floats, check_sizes, check_ticks, own_chunk


class OpenLoop:
    """ChunkExecutor that plays the newest chunk as it is; one that comes late loses its first rows."""

    def __init__(self, horizon: int, dim: int, query_every: int | None = None) -> None:
        """`query_every`: ticks between questions, 1 to H; H by default."""
        check_sizes(horizon, dim)
        self._horizon, self._dim = horizon, dim
        self._query_every = check_ticks("query_every", horizon if query_every is None else query_every, 1, horizon)
        self.reset()

    def reset(self) -> None:
        """Forget the chunk."""
        self._made_for: int | None = None
        self._chunk = np.empty((0, self._dim))

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Replace the chunk (H, D), unless this one is not newer."""
        own = own_chunk(chunk, self._horizon, self._dim)
        if self._made_for is not None and made_for_tick <= self._made_for:
            return False
        self._made_for, self._chunk = made_for_tick, own
        return True

    def action(self, tick: int) -> Floats | None:
        """The chunk's row (D,) for this tick, or None."""
        rows = self.coming(tick)
        return rows[0].copy() if len(rows) else None

    def wants_inference(self, tick: int) -> bool:
        """When `query_every` ticks have passed since the tick the chunk was made for."""
        return self._made_for is None or tick - self._made_for >= self._query_every

    def coming(self, tick: int) -> Floats:
        """The rest (K, D) of the chunk."""
        if self._made_for is None or tick < self._made_for:
            return np.empty((0, self._dim))
        return self._chunk[tick - self._made_for :].copy()
