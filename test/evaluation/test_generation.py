"""Generated demonstrations: a seed gives one episode, whoever makes it; nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes.comparing import differences

from vgil_ros.core.errors import VgilError
from vgil_ros.core.streams import Flag
from vgil_ros.episodes.checks.check import check_episode
from vgil_ros.episodes.naming import episodes_in
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.robots.sim.demonstrations import DemonstrationConfig
from vgil_ros.robots.sim.generate import generate

SHORT = DemonstrationConfig("sim_single", "pick_place", episode_len=60)


def test_files_follow_from_the_seed_whatever_the_workers(tmp_path: Path) -> None:
    one = list(generate(SHORT, tmp_path / "one", episodes=3, seed=4, workers=1))
    two = list(generate(SHORT, tmp_path / "two", episodes=3, seed=4, workers=2))
    assert [f.seed for f in one] == [f.seed for f in two] == [4, 5, 6]
    for a, b in zip(one, two, strict=True):
        assert a.path is not None
        assert b.path is not None
        assert a.path.name == b.path.name
        assert differences(a.path, b.path) == []
    assert differences(one[0].path, one[1].path), "other seeds give other episodes"  # type: ignore[arg-type]
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == [f"episode_{n}.hdf5" for n in range(3)]


def test_a_whole_demonstration_does_its_task_and_passes_the_check(tmp_path: Path) -> None:
    wanted = DemonstrationConfig("sim_single", "pick_place")
    (found,) = generate(wanted, tmp_path, episodes=1, seed=0, only_successes=True)
    assert found.success
    assert found.path is not None
    assert check_episode(found.path).ok
    with EpisodeReader(found.path) as episode:
        assert episode.rows == wanted.ticks == 400
        assert episode.success is True
        assert episode.stamp_ns is not None
        assert np.all(np.diff(episode.stamp_ns) == 20_000_000)
        assert episode.flags is not None
        assert episode.skew_ns is not None
        joints, images = episode.flags[:, :2], episode.flags[:, 2:]
        assert np.all(joints == Flag.EXACT), "ticks lie on the simulator's grid"
        assert set(np.unique(images)) <= {Flag.EXACT, Flag.NEAREST}
        assert np.all((episode.skew_ns == 0) == (episode.flags == Flag.EXACT))
        assert np.abs(episode.skew_ns).max() <= 20_000_000


def test_what_is_there_stays(tmp_path: Path) -> None:
    (tmp_path / "episode_0.hdf5").write_bytes(b"mine")
    (found,) = generate(SHORT, tmp_path, episodes=1, seed=0)
    assert found.path == tmp_path / "episode_1.hdf5"
    assert (tmp_path / "episode_0.hdf5").read_bytes() == b"mine"


def test_failures_are_left_out_until_it_is_given_up(tmp_path: Path) -> None:
    """Sixty ticks are not enough to do the task."""
    with pytest.raises(VgilError, match="done in 0 of 5 attempts only; 1 are wanted"):
        list(generate(SHORT, tmp_path, episodes=1, seed=0, only_successes=True))
    assert episodes_in(tmp_path) == []
    assert list(tmp_path.iterdir()) == [], "no scratch folder is left"


def test_images_are_stored_raw_where_asked(tmp_path: Path) -> None:
    wanted = DemonstrationConfig("sim_single", "pick_place", episode_len=5, image_format="raw")
    (found,) = generate(wanted, tmp_path, episodes=1, seed=0)
    with h5py.File(found.path) as file:
        assert file["observations/images/cam_high"].shape == (5, 240, 320, 3)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (DemonstrationConfig("sim_single", "juggle"), "task 'juggle' is unknown"),
        (DemonstrationConfig("sim_single", "transfer_cube"), "needs arms 'right' and 'left'"),
        (DemonstrationConfig("nobody", "pick_place"), "robot 'nobody' is unknown"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_what_cannot_be_done_is_named(wanted: DemonstrationConfig, words: str, workers: int, tmp_path: Path) -> None:
    with pytest.raises(VgilError, match=words):
        list(generate(wanted, tmp_path, episodes=1, seed=0, workers=workers))
