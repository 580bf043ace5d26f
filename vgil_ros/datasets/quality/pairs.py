"""Nearest neighbours among episodes, block by block, so that memory does not grow with the square of their number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from vgil_ros.datasets.quality.data_set import Moved
from vgil_ros.datasets.quality.features.look import Look

BLOCK = 256
LEAST_SPREAD = 1e-2  # rad
TYPICAL = 75  # percentile of nearest distances: how close two different episodes come; holds with many twins among them


@dataclass(frozen=True, eq=False)
class Nearest:
    """To each query the nearest other member.

    Attributes:
        place: (Q,) its place among the members; -1 without one.
        distance: (Q,) to it.
    """

    place: np.ndarray
    distance: np.ndarray

    @property
    def typical(self) -> float:
        """How close two different ones come."""
        known = self.distance[np.isfinite(self.distance)]
        return float(np.percentile(known, TYPICAL)) if len(known) else float("inf")


def motion_vectors(group: Sequence[Moved]) -> np.ndarray:
    """(N, F) paths of qpos and action, each column in spreads of the group."""
    parts = []
    for stream in ("qpos", "action"):
        paths = np.stack([getattr(motion, stream).path for _, motion in group]).astype(np.float32)
        paths /= np.maximum(paths.std(axis=(0, 1)), LEAST_SPREAD)
        parts.append(paths.reshape(len(group), -1))
    return np.concatenate(parts, axis=1)


def nearest_motions(vectors: np.ndarray) -> Nearest:
    """To each motion (N, F) the nearest other one; distances are root mean squares."""
    squares = (vectors.astype(np.float64) ** 2).sum(axis=1)
    place, distance = np.full(len(vectors), -1), np.full(len(vectors), np.inf)
    for first in range(0, len(vectors), BLOCK):
        block = vectors[first : first + BLOCK]
        found = squares[first : first + BLOCK, None] + squares - 2.0 * (block @ vectors.T)
        found[np.arange(len(block)), first + np.arange(len(block))] = np.inf
        best = found.argmin(axis=1)
        place[first : first + BLOCK] = best
        # the difference of large numbers loses what lies close together: once more, directly
        apart = block.astype(np.float64) - vectors[best]
        distance[first : first + BLOCK] = np.sqrt((apart**2).mean(axis=1))
    return Nearest(place, distance)


def scene_image(look: Look) -> np.ndarray:
    """(F,) float32 of the first image: without noise, and without what a change of light alone makes."""
    blurred = cv2.blur(look.first.astype(np.float32), (3, 3))
    return (blurred - np.median(blurred)).ravel()


def nearest_scenes(queries: np.ndarray, members: np.ndarray, same: np.ndarray) -> Nearest:
    """To each scene the one among others whose images differ least.

    Args:
        queries: (Q, C, F) images of each camera.
        members: (N, C, F).
        same: (Q,) the query's own place among the members, -1 where it is none of them.

    Returns:
        Distances in grey levels: of the pixel and camera that differ most.
    """
    place, distance = np.full(len(queries), -1), np.full(len(queries), np.inf)
    for i, query in enumerate(queries):
        if not len(members):
            continue
        apart = np.concatenate(
            [np.abs(members[a : a + BLOCK] - query).max(axis=(1, 2)) for a in range(0, len(members), BLOCK)]
        )
        if same[i] >= 0:
            apart[same[i]] = np.inf
        place[i] = int(apart.argmin())
        distance[i] = apart[place[i]]
    return Nearest(place, distance)
