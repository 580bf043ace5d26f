"""An episode of ours, read by code that keeps to the peers' conventions and knows nothing of ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo

ROWS = 9


def act_reader(
    path: Path, cameras: Sequence[str], t: int
) -> tuple[int, np.ndarray, np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """As ACT's dataset reads one sample: raw images, action shifted by a row unless `sim`."""
    with h5py.File(path, "r") as root:
        is_sim = root.attrs["sim"]
        length = root["/action"].shape[0]
        qpos, qvel = root["/observations/qpos"][t], root["/observations/qvel"][t]
        images = {name: root[f"/observations/images/{name}"][t] for name in cameras}
        action = root["/action"][t:] if is_sim else root["/action"][max(0, t - 1) :]
    return length, qpos, qvel, images, action


def compressed_reader(
    path: Path, cameras: Sequence[str], t: int
) -> tuple[np.ndarray, dict[str, np.ndarray], np.ndarray]:
    """As the compressed formats' readers do: the padded row goes to imdecode, and its result is taken for RGB."""
    length, qpos, _, images, action = act_reader(path, cameras, t)
    with h5py.File(path, "r") as root:
        assert root.attrs["compress"]
        assert root["/compress_len"].dtype == np.float32
        assert root["/compress_len"].shape == (len(cameras), length)
    return qpos, {name: np.asarray(cv2.imdecode(row, 1)) for name, row in images.items()}, action


@pytest.mark.parametrize("t", [0, 4, ROWS - 1])
def test_raw(tmp_path: Path, t: int) -> None:
    m = demo.meta(storage="raw")
    path = demo.write(tmp_path, m, ROWS, encoding="bgra8")
    length, qpos, qvel, images, action = act_reader(path, m.camera_names, t)
    wanted = demo.observation(t, m)
    assert length == ROWS
    np.testing.assert_array_equal(qpos, wanted["qpos"])
    np.testing.assert_array_equal(qvel, wanted["qvel"])
    np.testing.assert_array_equal(action[0], demo.action(t, m))
    for name, image in images.items():
        np.testing.assert_array_equal(image, wanted["images"][name])


@pytest.mark.parametrize("t", [0, 4, ROWS - 1])
def test_jpeg(tmp_path: Path, t: int) -> None:
    m = demo.meta()
    path = demo.write(tmp_path, m, ROWS, encoding="bgr8")
    qpos, images, action = compressed_reader(path, m.camera_names, t)
    wanted = demo.observation(t, m)
    np.testing.assert_array_equal(qpos, wanted["qpos"])
    np.testing.assert_array_equal(action[0], demo.action(t, m))
    for name, image in images.items():
        assert np.abs(image.astype(int) - wanted["images"][name]).mean() < 3
        assert np.abs(image[..., ::-1].astype(int) - wanted["images"][name]).mean() > 20


def test_lengths_are_the_jpegs_own_in_the_order_of_the_cameras(tmp_path: Path) -> None:
    m = demo.meta()
    with h5py.File(demo.write(tmp_path, m, ROWS), "r") as root:
        assert list(root.attrs["camera_names"]) == ["cam_b", "cam_a"]
        lengths = root["compress_len"][()].astype(int)
        for i, name in enumerate(root.attrs["camera_names"]):
            rows = root[f"observations/images/{name}"][()]
            assert rows.shape == (ROWS, lengths[i].max())
            for t in range(ROWS):
                assert not rows[t, lengths[i, t] :].any()
                assert rows[t, lengths[i, t] - 2 : lengths[i, t]].tobytes() == b"\xff\xd9"


def test_same_t_everywhere(tmp_path: Path) -> None:
    m = demo.meta(has_effort=True, has_base=True)
    with h5py.File(demo.write(tmp_path, m, ROWS), "r") as root:
        for name in ("action", "base_action", "observations/qpos", "observations/qvel", "observations/effort"):
            assert root[name].shape[0] == ROWS
            assert root[name].dtype == np.float32


def test_old_hdf5_can_open_it(tmp_path: Path) -> None:
    """Superblock 3 is HDF5 1.10's; anything newer would shut out the peers' installations."""
    data = demo.write(tmp_path, demo.meta(), 3).read_bytes()
    assert data[:9] == b"\x89HDF\r\n\x1a\n\x03"
    assert data[11] == 0  # no mark of a writer is left
