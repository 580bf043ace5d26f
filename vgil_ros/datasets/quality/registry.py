"""The checks of a data set, in the order in which they run. A new one is one new file in `checks/`, and a line here."""

from __future__ import annotations

from vgil_ros.datasets.quality.checks import chunks, consistency, drift, duplicates, labels, spread, tasks
from vgil_ros.datasets.quality.checks.images import light, scenes, sharpness, views
from vgil_ros.datasets.quality.checks.motion import final_pose, gripper, idle, jumps, lengths, saturation, smoothness
from vgil_ros.datasets.quality.data_set import Check

CHECKS: tuple[Check, ...] = (
    lengths.check,
    smoothness.check,
    final_pose.check,
    idle.check,
    gripper.check,
    saturation.check,
    jumps.check,
    consistency.check,
    duplicates.check,
    labels.check,
    scenes.check,
    drift.check,
    views.check,
    light.check,
    sharpness.check,
    tasks.check,
    spread.check,
    chunks.check,
)
