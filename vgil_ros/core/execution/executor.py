"""The protocol of every way to play chunks: predictions in, one action a tick out.

A chunk is what the policy predicts from the observation of tick q: row k is the action of tick q + k. Everything is
indexed by tick, never by the count of calls, so a prediction may come late, twice, out of order or not at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vgil_ros.core.errors import VgilError
from vgil_ros.core.execution.prefix import Floats, Prefix


class ChunkExecutor(ABC):
    """Turns chunks (H, D) into actions (D,), in the units of the chunk. Not thread-safe: one thread owns it.

    Attributes:
        late: chunks since the reset that came too late to join on without a fade; counted where a mode can tell.
    """

    uses_prefix: ClassVar[bool] = False  # whether requests carry what is settled, so that the policy must keep to it
    draws: int = 1  # chunks that a request asks for; above 1 `add_chunk` takes them all, (draws, H, D)
    late: int = 0

    @abstractmethod
    def add_chunk(self, made_for_tick: int, chunk: ArrayLike) -> bool:
        """Take a chunk (H, D) predicted from the observation of `made_for_tick`.

        True when it will be used; False when it is a duplicate or has come too late to matter. Time has come to
        `made_for_tick`: ticks before the newest prediction may no longer be asked for.
        """

    @abstractmethod
    def action(self, tick: int) -> Floats | None:
        """The action (D,) float64 of this tick, or None when no prediction covers it."""

    @abstractmethod
    def wants_inference(self, tick: int) -> bool:
        """Whether this tick's observation should be sent to the policy (the caller sees to one request at a time)."""

    @abstractmethod
    def coming(self, tick: int) -> Floats:
        """The actions (K, D) of ticks tick .. tick + K - 1 as known now; K = 0 when nothing covers `tick`."""

    @abstractmethod
    def reset(self) -> None:
        """Forget every prediction."""

    def prefix(self, made_for_tick: int) -> Prefix | None:
        """What the request about the observation of this tick must carry; None where nothing is settled."""
        return None

    @classmethod
    def default_inference_period(cls, horizon: int, n_action_steps: int, slack_ticks: int) -> int | None:
        """Ticks between requests where nobody says; None is the constructor's own default.

        Args:
            horizon: H.
            n_action_steps: rows of a chunk that the policy wants to be played.
            slack_ticks: how long an answer may take before the watchdog holds.
        """
        return None


def check_sizes(horizon: int, dim: int) -> None:
    """Refuse a horizon H or an action size D below 1."""
    if horizon < 1 or dim < 1:
        raise VgilError(f"chunk: horizon {horizon} and action size {dim} must both be at least 1")


def check_ticks(name: str, value: int, lowest: int, highest: int) -> int:
    """Return `value`, or raise VgilError naming the option and its range."""
    if not lowest <= value <= highest:
        raise VgilError(f"{name}: found {value}, allowed are {lowest} to {highest} ticks")
    return int(value)


def own_chunk(chunk: ArrayLike, horizon: int, dim: int) -> Floats:
    """A float64 copy (H, D); VgilError for another shape. Values that are not finite are safety's to stop."""
    own = np.array(chunk, dtype=np.float64)
    if own.shape != (horizon, dim):
        raise VgilError(f"chunk: found shape {own.shape}, expected (horizon, action size) = ({horizon}, {dim})")
    return own
