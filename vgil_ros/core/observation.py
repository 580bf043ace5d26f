"""The observation of one moment that a policy is asked about, as NumPy arrays without a batch axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

import numpy as np


class RobotFrame(TypedDict):
    """What a robot measured at one tick.

    Attributes:
        qpos: (D,) float32 in robot units.
        images: camera -> (H, W, 3) uint8 RGB.
        vectors: name -> (n,), further vectors of the contract that the policy takes.
    """

    qpos: np.ndarray
    images: Mapping[str, np.ndarray]
    vectors: NotRequired[Mapping[str, np.ndarray]]


class RobotPast(TypedDict):
    """What was measured N times before, oldest first.

    Attributes:
        qpos: (N, D) float32 in robot units.
        images: camera -> (N, H, W, 3) uint8 RGB.
        known: (N,) bool; where False there was no such observation, and the rest means nothing.
        vectors: name -> (N, n).
    """

    qpos: np.ndarray
    images: Mapping[str, np.ndarray]
    vectors: NotRequired[Mapping[str, np.ndarray]]
    known: np.ndarray


class ActionPrefix(TypedDict):
    """What a chunk (H, A) has to begin with; see `core.execution.prefix.Prefix`.

    Attributes:
        action: (H, A) float32 in robot units.
        weight: (H,) float32, 0 to 1.
    """

    action: np.ndarray
    weight: np.ndarray


class RobotObservation(RobotFrame, total=False):
    """A frame, and what a policy may want beside it.

    Attributes:
        past: for policies that look back.
        prefix: actions that are settled before the chunk can come, for policies that keep to them.
        task: what is to be done, in words; or task_embedding: (E,) float32 of it.
        noise: where a policy that integrates begins, (H, W) float32 in its own sizes; drawn where left out.
    """

    past: RobotPast
    prefix: ActionPrefix
    task: str
    task_embedding: np.ndarray
    noise: np.ndarray
