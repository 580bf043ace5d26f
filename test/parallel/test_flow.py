"""Optical flow for training, computed by several processes: that of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.episodes import made_episodes as made

from vgil_ros.policies.optical_flow import FlowField, FlowSettings
from vgil_ros.training.data.flow_cache import flow_dir, make_flow_cache
from vgil_ros.training.data.scan import scan_folder


def test_flow_by_several_processes_is_that_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rows in (6, 8):
        made.write(tmp_path / "data", made.meta(), rows)
    found = []
    for workers in (1, 2):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / f"cache_{workers}"))
        stats = scan_folder(tmp_path / "data")
        field = FlowField(FlowSettings())
        cameras = tuple(stats[0].cameras)
        assert make_flow_cache(stats, cameras, (1,), field, limit=1 << 30, workers=workers) is not None
        found.append({file.name: np.load(file) for file in sorted(flow_dir().glob("*.npy"))})
        assert len(found[-1]) == len(stats) * len(cameras)
    assert list(found[0]) == list(found[1])
    for name, flow in found[0].items():
        assert np.abs(flow.astype(float)).max() > 0
        np.testing.assert_array_equal(flow, found[1][name])
