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
    """(F,) int16 of the first image: without noise, and without what a change of light alone makes."""
    blurred = cv2.blur(look.first.astype(np.float32), (3, 3))
    plain: np.ndarray = np.rint(blurred - np.median(blurred, axis=(0, 1))).astype(np.int16).ravel()
    return plain


def scene_distances(queries: np.ndarray, members: np.ndarray) -> np.ndarray:
    """(Q, N) how much two images (Q, F) and (N, F) of one camera differ, in levels, where they differ most."""
    apart = np.empty((len(queries), len(members)), np.float32)
    for i, query in enumerate(queries):
        for first in range(0, len(members), BLOCK):
            apart[i, first : first + BLOCK] = np.abs(members[first : first + BLOCK] - query).max(axis=1)
    return apart


def nearest(apart: np.ndarray) -> Nearest:
    """The nearest by distances (Q, N)."""
    return Nearest(apart.argmin(axis=1), apart.min(axis=1))
