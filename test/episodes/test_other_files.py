"""Files that name other files of the computer: never followed, by no command; the file is named and refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.episodes import made_episodes as demo
from support.paths import EPISODE_GOLDENS as GOLDEN
from typer.testing import CliRunner

from vgil_ros.cli.main import app
from vgil_ros.episodes import EpisodeError, EpisodeReader
from vgil_ros.episodes.recovery.repair import repair

ROWS = 12
SECRET = b"root:this-line-must-stay-where-it-is:"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of this computer that an episode has no business with; HDF5 and plain bytes at once."""
    path = tmp_path / "secret.hdf5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["values"] = np.frombuffer(SECRET.ljust(ROWS * 64, b"."), np.uint8).reshape(ROWS, 64)
        file["group/values"] = file["values"][()]
    with path.open("r+b") as raw:
        raw.write(SECRET)
    return path


def external_storage(file: h5py.File, secret: Path) -> None:
    del file["observations/images/cam_a"]
    where = [(str(secret), 0, ROWS * 20)]
    file.create_dataset("observations/images/cam_a", (ROWS, 20), np.uint8, external=where)


def external_storage_in_a_spare_group(file: h5py.File, secret: Path) -> None:
    file.create_dataset("notes/more/log", (8,), np.uint8, external=[("/etc/hostname", 0, 8)])


def external_storage_of_numbers(file: h5py.File, secret: Path) -> None:
    shape = file["observations/qpos"].shape
    del file["observations/qpos"]
    file.create_dataset("observations/qpos", shape, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def external_link(file: h5py.File, secret: Path) -> None:
    del file["observations/images/cam_a"]
    file["observations/images/cam_a"] = h5py.ExternalLink(str(secret), "/values")


def external_link_to_a_group(file: h5py.File, secret: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/group")


def soft_link_that_leaves_the_file(file: h5py.File, secret: Path) -> None:
    file["elsewhere"] = h5py.ExternalLink(str(secret), "/group")
    del file["observations/qvel"]
    file["observations/qvel"] = h5py.SoftLink("/elsewhere/values")


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    del file["observations/images/cam_a"]
    layout = h5py.VirtualLayout((ROWS, 64), np.uint8)
    layout[:] = h5py.VirtualSource(str(secret), "values", (ROWS, 64))
    file.create_virtual_dataset("observations/images/cam_a", layout)


def final_observation(file: h5py.File, secret: Path) -> None:
    del file["final_observation/qpos"]
    file["final_observation/qpos"] = h5py.ExternalLink(str(secret), "/values")


Tamper = Callable[[h5py.File, Path], None]
TAMPERED: tuple[Tamper, ...] = (
    external_storage,
    external_storage_in_a_spare_group,
    external_storage_of_numbers,
    external_link,
    external_link_to_a_group,
    soft_link_that_leaves_the_file,
    virtual_dataset,
    final_observation,
)


@pytest.fixture(params=TAMPERED, ids=lambda tamper: tamper.__name__)
def episode(request: pytest.FixtureRequest, tmp_path: Path, secret: Path) -> Path:
    """An episode of ours whose content leads to the secret file."""
    folder = tmp_path / "data"
    path = demo.write(folder, demo.meta(), ROWS)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        request.param(file, secret)
    return path


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["episodes", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, " ".join(result.output.split())


def test_no_command_follows(episode: Path, tmp_path: Path, secret: Path) -> None:
    out = tmp_path / "out"
    before = hashlib.sha256(secret.read_bytes()).hexdigest()
    refusals = {
        "show": run("show", episode),
        "check": run("check", episode),
        "plot": run("plot", episode, "--out", out),
        "repair": run("repair", episode),
        **{to: run("convert", episode, out / f"{to}.hdf5", "--to", to) for to in ("vgil", "aloha", "mobile_aloha")},
    }
    for command, (code, text) in refusals.items():
        assert code == (1 if command in ("check", "repair") else 2), command
        assert "episode_0.hdf5" in text, command
        assert "other files are never read" in text, command
    code, text = run("list", episode.parent)
    assert code == 0
    assert "never read" in text
    assert sorted(path.name for path in episode.parent.iterdir()) == [episode.name]
    for path in tmp_path.rglob("*"):
        assert path in (secret, episode) or not path.is_file() or SECRET not in path.read_bytes()
    assert hashlib.sha256(secret.read_bytes()).hexdigest() == before


def test_the_reader_and_repair_name_what_leads_out(episode: Path) -> None:
    words = r"episode_0\.hdf5: '[a-z_/]+' (is a link to .* in the file|has its values in the file|is a virtual dataset)"
    with pytest.raises(EpisodeError, match=words):
        EpisodeReader(episode)
    with pytest.raises(EpisodeError, match=words):
        repair(episode)


def test_a_folder_with_one_such_file_is_still_listed_and_checked(tmp_path: Path, secret: Path) -> None:
    for _ in range(2):
        path = demo.write(tmp_path / "data", demo.meta(), ROWS)
    with h5py.File(path, "r+", libver=("v110", "v110")) as file:
        external_link(file, secret)
    code, text = run("check", tmp_path / "data")
    assert (code, "2 checked, 1 bad" in text) == (1, True)
    code, text = run("list", tmp_path / "data")
    assert (code, f"{ROWS} rows" in text) == (0, True)


def test_links_within_the_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "aloha.hdf5"
    shutil.copy(GOLDEN / "aloha.hdf5", path)
    with h5py.File(path, "r+") as file:
        file.move("observations/images/cam_high", "raw/high")
        file["observations/images/cam_high"] = h5py.SoftLink("/raw/high")
    with EpisodeReader(path) as episode, EpisodeReader(GOLDEN / "aloha.hdf5") as original:
        np.testing.assert_array_equal(episode.image("cam_high", 3), original.image("cam_high", 3))
        assert episode.camera_names == original.camera_names
