"""Open loop: play one chunk, ask again every n ticks (ACT without temporal ensembling)."""

from __future__ import annotations

from numpy.typing import ArrayLike

from vgil_ros.core.execution.plan import PlanExecutor
from vgil_ros.core.execution.prefix import Floats


class OpenLoop(PlanExecutor):
    """ChunkExecutor that plays the newest chunk as it is; one that comes late loses its first rows."""

    def __init__(self, horizon: int, dim: int, inference_period: int | None = None) -> None:
        """`inference_period`: ticks between requests, 1 to H; H by default."""
        super().__init__(horizon, dim, horizon if inference_period is None else inference_period)

    @classmethod
    def default_inference_period(cls, horizon: int, n_action_steps: int, slack_ticks: int) -> int | None:
        """Early enough that the chunk lasts until any answer that the watchdog lets pass."""
        return max(1, min(n_action_steps, horizon - slack_ticks))

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Replace the chunk (H, D), unless this one is not newer."""
        own = self._fresh(made_for_tick, chunk)
        if own is None:
            return False
        self._newest = self._start = made_for_tick
        self._plan = own
        return True

    def action(self, tick: int) -> Floats | None:
        """The chunk's row (D,) for this tick, or None."""
        rows = self.coming(tick)
        return rows[0] if len(rows) else None
