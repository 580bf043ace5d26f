"""The reference of a checkpoint: a few hundred kilobytes of its training data, against which a robot is held.

It says how episodes began: what each camera showed, where the joints stood, where the actions went in the first
seconds; and how the values of all rows were spread. `training.data.reference` makes it, `evaluation.preflight` uses it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vgil_ros.policies.storage import REFERENCE_FILE

PLAN_STEP_S, PLAN_POINTS = 0.1, 41  # of the actions that are kept of an episode's beginning: 0 to 4 s


@dataclass(frozen=True, eq=False)
class Spread:
    """How the values of all rows are spread, (D,) float64 each: mean, standard deviation, least, largest."""

    mean: np.ndarray
    std: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True, eq=False)
class ViewReference:
    """What a camera showed in the first rows of episodes.

    Attributes:
        size: (height, width) in pixels of its images.
        usual: (h, w, 3) uint8 RGB, small: the median of the first images, in which what differs among them is gone.
        first: (N, h, w, 3) uint8 RGB, some of them.
        looks: (M, L) float32 of the first image of M episodes, in the order of `views.LOOKS`.
        summaries: (M, S) uint8, each a tiny grey image, flat.
        fps: new images a second; None where the episodes do not tell.
    """

    size: tuple[int, int]
    usual: np.ndarray
    first: np.ndarray
    looks: np.ndarray
    summaries: np.ndarray
    fps: float | None


@dataclass(frozen=True, eq=False)
class DataReference:
    """What training data says of the robot that a policy may run on.

    Attributes:
        fingerprint: of the episodes that it was made from, as `PolicyConfig.fingerprint`.
        episodes, rows: how many they were.
        rate_hz: rows a second; None where they do not tell.
        joint_names: of the columns of qpos; empty where they do not tell.
        qpos: spread of (rows, D). action: of (rows, A), as they are trained on.
        start: (M, D) float32, qpos of the first row of M episodes.
        plans: (M, PLAN_POINTS, A) float32, actions each PLAN_STEP_S from there on; NaN after an episode's end.
        views: by camera.
    """

    fingerprint: str
    episodes: int
    rows: int
    rate_hz: float | None
    joint_names: tuple[str, ...]
    qpos: Spread
    action: Spread
    start: np.ndarray
    plans: np.ndarray
    views: Mapping[str, ViewReference] = field(default_factory=dict)


def reference_file(checkpoint: str | Path) -> Path:
    """Where the reference of a checkpoint's folder lies."""
    return Path(checkpoint) / REFERENCE_FILE
