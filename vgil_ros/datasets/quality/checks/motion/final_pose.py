"""Final pose: an episode that ends elsewhere than the others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

FLOOR = 0.02  # rad


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes with a joint that is far from where it ends in the others."""
    for group in data.alike:
        ends = np.stack([motion.qpos.path[-1] for _, motion in group])
        spread = spread_of(ends, FLOOR)
        low, high = spread.usual()
        for (one, _), z, end in zip(group, spread.z, ends, strict=True):
            arm = [i for i in range(len(z)) if i not in one.grippers]  # a gripper is open or closed, and both may be
            if not arm:
                continue
            worst = max(arm, key=lambda i: abs(z[i]))
            if abs(z[worst]) > FAR:
                message = f"ends at {end[worst]:.3g}; usual: {low[worst]:.3g} to {high[worst]:.3g}"
                last = one.rows - 1
                finding = Finding("warning", "final pose", one.column(worst), message, ((last, last),))
                yield Found(one.number, finding, "look whether the task was finished; label or delete it if not")
