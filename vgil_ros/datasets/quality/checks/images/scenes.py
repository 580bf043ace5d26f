"""Scenes: one that training sees and validation is measured on: the score then says less than it seems to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.features.summary import Summary
from vgil_ros.datasets.quality.pairs import nearest_scenes, scene_image
from vgil_ros.episodes.checks.findings import Finding

CLOSE, LEVELS = 0.4, 12.0  # of how close different scenes come; grey levels
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
    images = {one.number: np.stack([scene_image(one.looks[c]) for c in cameras]) for one in data.summaries}
    numbers = [one.number for one in data.summaries]
    everything = np.stack([images[number] for number in numbers])
    asked = np.unique(np.linspace(0, len(numbers) - 1, ASKED).astype(int))
    most = min(CLOSE * nearest_scenes(everything[asked], everything, asked).typical, LEVELS)
    mine = np.stack([images[one.number] for one in validation])
    theirs = np.stack([images[one.number] for one in training])
    found = nearest_scenes(mine, theirs, np.full(len(mine), -1))
    pairs = zip(validation, found.place.tolist(), found.distance.tolist(), strict=True)
    return {one.number: training[place] for one, place, distance in pairs if distance < most}
