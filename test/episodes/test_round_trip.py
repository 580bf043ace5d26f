"""What goes into the writer comes out of the reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dm_env
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from support.episodes.made_episodes import Storage

from vgil_ros.episodes import CameraMeta, EpisodeReader

ROWS = 7


@pytest.mark.parametrize("storage", ["jpeg", "raw", "passthrough"])
def test_everything_comes_back(tmp_path: Path, storage: Storage) -> None:
    depths = (CameraMeta("depth", 12, 16, None),)
    m = demo.meta(storage=storage, has_effort=True, has_base=True, depths=depths)
    encoding = "jpeg" if storage == "passthrough" else "bgr8"
    path = demo.write(tmp_path, m, ROWS, success=True, encoding=encoding)
    assert path == tmp_path / "episode_0.hdf5"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with EpisodeReader(path) as episode:
        assert episode.layout == "vgil"
        assert episode.rows == ROWS
        assert episode.camera_names == ("cam_b", "cam_a")
        assert (episode.robot, episode.task, episode.success, episode.rate_hz) == ("test", "test", True, 50.0)
        assert episode.streams == demo.STREAMS
        assert episode.joint_names == m.joint_names
        np.testing.assert_array_equal(episode.action, [demo.action(t, m) for t in range(ROWS)])
        np.testing.assert_array_equal(episode.aligned_action(), episode.action)
        np.testing.assert_array_equal(episode.stamp_ns, demo.START_NS + np.arange(ROWS) * demo.PERIOD_NS)
        np.testing.assert_array_equal(episode.base_action, episode.base_vel)
        steps = episode.timesteps()
        assert len(steps) == ROWS + 1
        for t, step in enumerate(steps):
            assert_same(step, demo.observation(t, m), exact=storage == "raw")
        assert [s.step_type for s in steps] == [dm_env.StepType.FIRST] + [dm_env.StepType.MID] * (ROWS - 1) + [
            dm_env.StepType.LAST
        ]
        assert [s.reward for s in steps] == [None] + [0.5] * (ROWS - 1) + [1.0]
        assert steps[-1].discount == 0.0


def assert_same(step: dm_env.TimeStep, wanted: dict[str, Any], exact: bool) -> None:
    assert list(step.observation) == list(wanted)
    for key in ("qpos", "qvel", "effort", "base_vel"):
        np.testing.assert_array_equal(step.observation[key], wanted[key])
    for name, pixels in wanted["images"].items():
        difference = np.abs(step.observation["images"][name].astype(int) - pixels)
        assert difference.max() == 0 if exact else difference.mean() < 4
    for name, pixels in wanted["depth"].items():
        np.testing.assert_array_equal(step.observation["depth"][name], pixels)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8", "mono8"])
@pytest.mark.parametrize("storage", ["jpeg", "raw"])
def test_every_encoding_is_stored_as_rgb(tmp_path: Path, encoding: str, storage: Storage) -> None:
    m = demo.meta(storage=storage)
    with EpisodeReader(demo.write(tmp_path, m, 2, encoding=encoding)) as episode:
        wanted = demo.image(1, shift=0).astype(float)
        if encoding == "mono8":
            wanted = np.repeat((wanted @ [0.299, 0.587, 0.114])[..., None], 3, -1)
        assert np.abs(episode.image("cam_b", 1) - wanted).mean() < 4
