"""Length: an episode far shorter or longer than the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

FLOOR = 0.05  # of the logarithm: 5 % of a length


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes whose number of rows is not that of the others."""
    for group in data.alike:
        spread = spread_of(np.log([one.rows for one, _ in group]), FLOOR)
        low, high = np.exp(spread.usual())
        for (one, _), z in zip(group, spread.z, strict=True):
            if abs(z) > FAR:
                message = f"has {one.rows} rows; usual: {low:.0f} to {high:.0f}"
                advice = (
                    "look whether it was broken off; delete it if so"
                    if z < 0
                    else "look for waiting or a second try; trim or delete it"
                )
                yield Found(one.number, Finding("warning", "length", "episode", message), advice)
