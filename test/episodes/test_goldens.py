"""Every layout met in the field is read to the values that its writer put in."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import dm_env
import h5py
import numpy as np
import pytest

from vgil_ros.episodes import EpisodeError, EpisodeReader
from vgil_ros.episodes.checks.check import check_episode

GOLDEN = Path(__file__).parent / "golden"
_spec = importlib.util.spec_from_file_location("make_episodes", GOLDEN / "make_episodes.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

MOBILE = tuple(make.MOBILE_CAMS)
CASES = {
    # name: (cameras, dims, base, JPEG, alignment, what it lacks)
    "aloha": (tuple(make.ALOHA_CAMS), 14, False, False, "after_observation", ()),
    "act_sim": (("top",), 14, False, False, "same_stamp", ("effort",)),
    "mobile_aloha": (MOBILE, 14, True, True, "after_observation", ()),
    "act_plus_plus": (MOBILE, 14, True, True, "after_observation", ()),
    "cobot_magic": (MOBILE, 14, True, False, "next_frame", ()),
    "vgil_single_arm": (("top",), 8, False, False, "same_stamp", ("qvel", "effort")),
}


@pytest.mark.parametrize("name", CASES)
def test_values_colours_and_missing_parts(name):
    cameras, dim, base, jpeg, alignment, lacks = CASES[name]
    wanted = make.arrays(list(cameras), dim, base)
    with EpisodeReader(GOLDEN / f"{name}.hdf5") as episode:
        assert episode.layout == name
        assert episode.rows == make.T
        assert episode.camera_names == cameras
        assert episode.action_alignment == alignment
        for key in ("qpos", "qvel", "effort", "action"):
            found = getattr(episode, key)
            if key in lacks:
                assert found is None
            else:
                np.testing.assert_array_equal(found, wanted[key])
        if base:
            np.testing.assert_array_equal(episode.base_action, wanted["base_action"])
        else:
            assert episode.base_action is None
        assert (episode.rate_hz, episode.task, episode.stamp_ns, episode.flags) == (None, None, None, None)
        for camera in cameras:
            for row in range(make.T):
                _same_image(episode.image(camera, row), wanted["images"][camera][row], jpeg)


def _same_image(found, wanted, jpeg):
    assert found.shape == wanted.shape
    assert found.dtype == np.uint8
    if not jpeg:
        np.testing.assert_array_equal(found, wanted)
        return
    error = np.abs(found.astype(int) - wanted).mean()
    swapped = np.abs(found[..., ::-1].astype(int) - wanted).mean()
    assert error < 4 < swapped / 4  # quality 50: within its error, and far from the other order


def test_depth_is_in_millimetres():
    with EpisodeReader(GOLDEN / "cobot_magic.hdf5") as episode:
        assert episode.depth_names == MOBILE
        for i, name in enumerate(MOBILE):
            depth = episode.depth(name, 3)
            assert depth.dtype == np.uint16
            np.testing.assert_array_equal(depth, 500 + i)


def test_aligned_action_is_what_each_trainer_uses():
    for name, (*_, alignment, _lacks) in CASES.items():
        with EpisodeReader(GOLDEN / f"{name}.hdf5") as episode:
            aligned, action = episode.aligned_action(), episode.action
            for t in range(make.T):
                row = {
                    "same_stamp": t,
                    "after_observation": max(0, t - 1),
                    "next_frame": min(t + 1, make.T - 1),
                }[alignment]
                np.testing.assert_array_equal(aligned[t], action[row])


def test_timesteps_without_a_final_observation_end_with_the_last_row():
    with EpisodeReader(GOLDEN / "mobile_aloha.hdf5") as episode:
        steps = episode.timesteps()
        assert len(steps) == make.T
        assert steps[0].step_type == dm_env.StepType.FIRST
        assert steps[-1].last()
        assert all(step.reward is None for step in steps)
        assert list(steps[2].observation) == ["qpos", "qvel", "effort", "images"]
        assert steps[2].observation["images"]["cam_high"].shape == (make.H, make.W, 3)


def test_layout_may_be_said():
    with EpisodeReader(GOLDEN / "aloha.hdf5", layout="cobot_magic") as episode:
        assert episode.action_alignment == "next_frame"
    with pytest.raises(EpisodeError, match=r"'nonsense'; allowed: \['vgil', 'aloha'"):
        EpisodeReader(GOLDEN / "aloha.hdf5", layout="nonsense")


@pytest.mark.parametrize("name", CASES)
def test_check_has_no_error_for_them(name):
    assert check_episode(GOLDEN / f"{name}.hdf5").ok


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("part", [0.02, 0.3, 0.9, 0.999])
def test_a_cut_file_is_named(tmp_path, name, part):
    data = (GOLDEN / f"{name}.hdf5").read_bytes()
    path = tmp_path / f"{name}.hdf5"
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(EpisodeError, match=rf"{name}\.hdf5: cut short: truncated file"):
        EpisodeReader(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "no such file"), (b"", "empty"), (b"hello" * 999, "not an HDF5 file")],
)
def test_what_is_no_episode_is_named(tmp_path, content, reason):
    path = tmp_path / "episode_3.hdf5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EpisodeError, match=rf"episode_3\.hdf5: {reason}"):
        EpisodeReader(path)


def test_hdf5_without_an_episode_is_named(tmp_path):
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["action"] = np.zeros((3, 2))
    with pytest.raises(EpisodeError, match=r"other\.hdf5: lacks \['observations/qpos'\]; found \['action'\]"):
        EpisodeReader(tmp_path / "other.hdf5")


def test_damaged_bytes_inside_are_named(tmp_path):
    path = tmp_path / "aloha.hdf5"
    shutil.copy(GOLDEN / "mobile_aloha.hdf5", path)
    with h5py.File(path, "r+") as file:
        file["observations/images/cam_high"][2, :200] = 7
    with EpisodeReader(path) as episode, pytest.raises(EpisodeError, match=r"cam_high row 2: .* do not decode"):
        episode.image("cam_high", 2)
    report = check_episode(path)
    assert not report.ok
    assert next((f.stream, f.rows) for f in report.errors) == ("cam_high", ((2, 2),))
