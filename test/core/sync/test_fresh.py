"""After a scene was reset, no sample of the old scene is used."""

from __future__ import annotations

import numpy as np

from vgil_ros.core.contract import Sync
from vgil_ros.core.streams import Kind, StreamSpec
from vgil_ros.core.sync import Sample, Synchronizer

MS = 1_000_000
STREAM = StreamSpec("cam", Kind.IMAGE, "/cam", 20 * MS)
JOINTS = StreamSpec("arm/puppet", Kind.JOINTS, "/arm", 20 * MS)


def test_images_of_the_old_scene_are_not_used_even_when_they_come_late() -> None:
    sync = Synchronizer((STREAM, JOINTS), Sync(), 50.0)
    reset = 1_000 * MS
    sync.push("cam", reset - 5 * MS, "old")
    sync.start(reset, fresh_ns=reset)
    sync.push("cam", reset - 1 * MS, "old, on its way")
    for k in range(12):
        sync.push("arm/puppet", reset + 10 * k * MS, np.zeros((3, 2)))
    for k in range(1, 4):
        sync.push("cam", reset + 30 * k * MS, "new")
    found = []
    while (sample := sync.sample(reset + 110 * MS)) is not None:
        found.append(sample)
    complete = [sample for sample in found if isinstance(sample, Sample)]
    assert complete
    assert {sample.payloads[0] for sample in complete} == {"new"}
