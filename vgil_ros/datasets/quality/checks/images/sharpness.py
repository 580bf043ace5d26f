"""Sharpness: an episode whose images are blurred beside the others'."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

FLOOR = 0.07  # of the logarithm of the share that edges have in the contrast


def check(data: DataSet) -> Iterator[Found]:
    """Name cameras and episodes with far less detail than in the other episodes."""
    for (camera, _), looks in data.cameras.items():
        values = np.array([np.median(look.sharpness) for _, look in looks])
        spread = spread_of(values, FLOOR)
        for (one, _), value, z in zip(looks, values, spread.z, strict=True):
            if z < -FAR:
                share = float(np.exp(value - spread.middle))
                message = (
                    f"has {share:.0%} of the usual detail; usual: {np.exp(-FAR * spread.sigma):.0%} or more: blurred"
                )
                advice = "clean the lens, fix the focus; delete the episode if its objects cannot be told apart"
                yield Found(one.number, Finding("warning", "blur", camera, message), advice)
