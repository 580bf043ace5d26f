"""Twins: two episodes that hold the same rows, or the same motion before the same images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vgil_ros.datasets.quality.data_set import Moved
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.pairs import motion_vectors, nearest_motions, scene_image

SHARED = 0.5  # of the rows of the shorter one
CLOSE = 0.15  # of how close two different ones come
LEVELS = 24.0  # by which the first images may differ


@dataclass(frozen=True)
class Twins:
    """Two episodes.

    Attributes:
        first, second: the earlier and the later one.
        shared: share of equal rows in the shorter one.
    """

    first: Summary
    second: Summary
    shared: float


def twins_of(group: Sequence[Moved]) -> list[Twins]:
    """Pairs among the episodes of one robot, each later episode at most once."""
    found = {pair.second.number: pair for pair in _same_rows(group)}
    for pair in _same_motion(group):
        found.setdefault(pair.second.number, pair)
    return [found[number] for number in sorted(found)]


def _same_rows(group: Sequence[Moved]) -> Iterator[Twins]:
    """Pairs with the same numbers in many rows, also where one was trimmed."""
    owners = np.concatenate([np.full(len(motion.row_marks), i) for i, (_, motion) in enumerate(group)])
    marks = np.concatenate([motion.row_marks for _, motion in group])
    order = np.lexsort((owners, marks))
    marks, owners = marks[order], owners[order]
    new = np.concatenate([[True], marks[1:] != marks[:-1]]) if len(marks) else np.zeros(0, bool)
    first = owners[np.flatnonzero(new)][np.cumsum(new) - 1] if len(marks) else owners
    pairs = Counter(zip(first[~new].tolist(), owners[~new].tolist(), strict=True))
    for (a, b), count in sorted(pairs.items()):
        shared = count / max(1, min(len(group[a][1].row_marks), len(group[b][1].row_marks)))
        if shared >= SHARED:
            yield Twins(group[a][0], group[b][0], shared)


def _same_motion(group: Sequence[Moved]) -> Iterator[Twins]:
    """Pairs that move and look far more alike than two different episodes do."""
    if len(group) < 3:
        return
    nearest = nearest_motions(motion_vectors(group))
    for i, (j, distance) in enumerate(zip(nearest.place.tolist(), nearest.distance.tolist(), strict=True)):
        if distance < CLOSE * nearest.typical and _look_alike(group[i][0], group[j][0]):
            one, other = sorted((group[i][0], group[j][0]), key=lambda summary: summary.number)
            yield Twins(one, other, 0.0)


def _look_alike(one: Summary, other: Summary) -> bool:
    return all(
        int(np.abs(scene_image(look) - scene_image(other.looks[name])).max()) < LEVELS
        for name, look in one.looks.items()
        if name in other.looks
    )
