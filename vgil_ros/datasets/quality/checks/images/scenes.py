"""Scenes: one that training sees and validation is measured on: the score then says less than it seems to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.pairs import nearest, scene_distances, scene_image
from vgil_ros.episodes.checks.findings import Finding

CLOSE, LEVELS = 0.4, 24.0  # of how close different scenes come; levels
ASKED = 64  # episodes by which that is measured
ADVICE = "delete one of them, or keep both on one side: record the scenes for validation apart"


def check(data: DataSet) -> Iterator[Found]:
    """Name validation episodes whose scene is also one of training's: by its seed, or by its first images."""
    validation = [one for one in data.summaries if one.number in data.validation]
    training = [one for one in data.summaries if one.number not in data.validation]
    seeds = {one.seed: one for one in training if one.seed}
    by_images = _twins(data, validation, training)
    for one in validation:
        twin = seeds.get(one.seed) if one.seed else None
        how = f"the seed {one.seed}" if twin is not None else "the first images"
        twin = twin or by_images.get(one.number)
        if twin is not None:
            message = (
                f"is kept for validation, and its scene is that of {twin.name}, by {how}; allowed: a scene on one side"
            )
            yield Found(one.number, Finding("warning", "same scene", "episode", message), ADVICE)


def _twins(data: DataSet, validation: list[Summary], training: list[Summary]) -> dict[int, Summary]:
    """Validation episodes, by place, whose first images are those of a training episode."""
    cameras = sorted(set.intersection(*(set(one.looks) for one in data.summaries))) if data.summaries else []
    if not cameras or not validation or not training:
        return {}
    numbers = [one.number for one in data.summaries]
    rows = [numbers.index(one.number) for one in validation]
    columns = [numbers.index(one.number) for one in training]
    asked = np.unique(np.linspace(0, len(numbers) - 1, ASKED).astype(int))
    pairs = np.zeros((len(rows), len(columns)), np.float32)
    others = np.zeros((len(asked), len(numbers)), np.float32)
    for camera in cameras:  # of the camera that differs most: an object may be out of the others' sight
        images = np.stack([scene_image(one.looks[camera]) for one in data.summaries])
        pairs = np.maximum(pairs, scene_distances(images[rows], images[columns]))
        others = np.maximum(others, scene_distances(images[asked], images))
    others[np.arange(len(asked)), asked] = np.inf
    most = min(CLOSE * nearest(others).typical, LEVELS)
    found = nearest(pairs)
    return {
        one.number: training[place]
        for one, place, distance in zip(validation, found.place.tolist(), found.distance.tolist(), strict=True)
        if distance < most
    }
