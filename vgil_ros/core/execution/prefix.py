"""The prefix of a request: actions that are settled before its result can come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vgil_ros.core.observation import ActionPrefix, RobotObservation

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prefix:
    """The plan being played, row by row beside the chunk that is asked for.

    Attributes:
        action: (H, D) in the units of the chunk; what stands in a row of weight 0 does not matter.
        weight: (H,) 1: will have been played when the result comes, and has to come out as it is; between 1 and 0:
            agree the less the later; 0: free.
    """

    action: Floats
    weight: Floats

    def as_observation(self) -> ActionPrefix:
        """The observation's part "prefix": action (H, D) float32, weight (H,) float32."""
        return {"action": self.action.astype(np.float32), "weight": self.weight.astype(np.float32)}


def with_prefix(observation: RobotObservation, prefix: Prefix | None) -> RobotObservation:
    """Give an observation together with what is settled, under "prefix"; as it is where nothing is."""
    return observation if prefix is None else {**observation, "prefix": prefix.as_observation()}


def prefix_weights(horizon: int, delay: int, overlap: int) -> Floats:
    """Weights (H,): 1 for the first `delay` rows, then falling to 0 at row `overlap`, where the old plan ends.

    With c = (overlap - i) / (overlap - delay + 1) row i weighs c (e^c - 1) / (e - 1): Black, Galliker and Levine,
    "Real-Time Execution of Action Chunking Flow Policies" (arXiv:2506.07339), equation 5.
    """
    row = np.arange(horizon)
    rest = np.clip((overlap - row) / (max(overlap - delay, 0) + 1), 0.0, 1.0)
    weight = rest * np.expm1(rest) / np.expm1(1.0)
    weight[: min(delay, overlap)] = 1.0
    result: Floats = weight
    return result
