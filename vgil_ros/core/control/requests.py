"""Requests to a policy and its results: what passes between the control loop and whoever runs the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from vgil_ros.core.execution import Prefix
from vgil_ros.core.sync import Sample


@dataclass(frozen=True, slots=True, eq=False)
class InferenceRequest:
    """One observation that a chunk is wanted for.

    Attributes:
        serial: tells this request from every other one of the loop; its result carries it back.
        tick: the tick of the observation; row 0 of the chunk is the action of this tick.
        sample: the observation.
        past: those before it, as the policy's configuration asks for them; None where unknown.
        prefix: in `rtc` the actions that are settled already, else None.
        draws: chunks that are asked for; above 1 the result holds them all.
    """

    serial: int
    tick: int
    sample: Sample
    past: tuple[Sample | None, ...] = ()
    prefix: Prefix | None = None
    draws: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class InferenceResult:
    """A chunk (H, A), or several (K, H, A), for a request, and how many seconds it took."""

    serial: int
    chunk: np.ndarray
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class InferenceError:
    """Why a request has no chunk: its observation cannot be used, such as an image that does not decode."""

    serial: int
    reason: str


InferenceReply: TypeAlias = InferenceResult | InferenceError
