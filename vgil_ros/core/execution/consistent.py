"""Consistent: of several chunks drawn from one observation, the one that agrees best with the plan; then as `async`.

A policy that draws its chunks may go left around an obstacle now and right at the next request, both well. Who changes
over between the two goes through it. Where a policy keeps to no settled actions (`rtc`), it can still be asked for K
chunks at a time: the one nearest to what is being played is of the same mind, and is faded in. Rows count less the
later they are. Where nothing is being played yet, the chunk nearest to all others is taken, which is no stray one.

Source: the backward coherence of Liu, Hamid, Xie, Lee, Du and Finn, "Bidirectional Decoding: Improving Action Chunking
via Guided Test-Time Sampling" (arXiv:2408.17355), without its forward contrast; the weights fall linearly here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.asynchronous import Asynchronous
from vgil_ros.core.execution.prefix import Floats

DRAWS = 4


class Consistent(Asynchronous):
    """ChunkExecutor that asks for several chunks and plays the one that agrees best with the plan."""

    def __init__(self, horizon: int, dim: int, inference_period: int = 1, blend: int = 5, draws: int = DRAWS) -> None:
        """`inference_period`: ticks between requests, 1 to H; `blend`: ticks a fade takes; `draws`: chunks, from 1."""
        if not 1 <= draws <= 256:
            raise VgilError(f"draws: found {draws}, allowed are 1 to 256 chunks")
        super().__init__(horizon, dim, inference_period, blend)
        self.draws = draws

    @classmethod
    def default_inference_period(cls, horizon: int, n_action_steps: int, slack_ticks: int) -> int | None:
        """Half of a chunk: a request costs as much as several, and the other half is what its chunks agree with."""
        return max(1, min(horizon // 2, horizon - slack_ticks))

    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Fade the best of the chunks (K, H, D), or a single one (H, D), into the plan, as `Asynchronous` does."""
        drawn = np.asarray(chunk, np.float64)
        if drawn.ndim == 3 and len(drawn):
            drawn = drawn[self.choose(made_for_tick, drawn)]
        return super().add_chunk(made_for_tick, drawn)

    def choose(self, made_for_tick: int, drawn: Floats) -> int:
        """Which of the chunks (K, H, D) made for a tick agrees best with the plan from that tick on.

        One that holds a value that is not finite is taken only where all do.
        """
        plan = self.coming(max(made_for_tick, self._start))
        skipped = max(self._start - made_for_tick, 0)
        rows = drawn[:, skipped : skipped + len(plan)]
        with np.errstate(invalid="ignore"):
            if len(plan) and rows.shape[1] and rows.shape[2:] == plan.shape[1:]:
                weights = np.linspace(1.0, 0.0, rows.shape[1], endpoint=False)[:, None]
                distance = (weights * (rows - plan[: rows.shape[1]]) ** 2).sum(axis=(1, 2))
            else:
                distance = np.sqrt(((drawn[:, None] - drawn[None]) ** 2).sum(axis=(2, 3))).sum(axis=1)
        finite = np.isfinite(drawn).all(axis=(1, 2))
        if finite.any() and not np.isfinite(distance[finite]).any():  # a stray draw spoils the sums of the others
            distance = np.zeros(len(drawn))
        return int(np.argmin(np.where(finite & np.isfinite(distance), distance, np.inf)))
