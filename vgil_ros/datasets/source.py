"""A data set as a source: its kind found by itself, its episodes opened one by one, rows read when asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.hdf5 import Hdf5Folder
from vgil_ros.datasets.lerobot.info import is_lerobot
from vgil_ros.datasets.lerobot.reader import TASK_FILES, LeRobotDataset
from vgil_ros.datasets.mcap_episodes.reader import McapFolder, is_mcap
from vgil_ros.datasets.zarr_store import ZarrDataset, is_zarr
from vgil_ros.episodes import naming
from vgil_ros.episodes.layouts import LAYOUTS, Layout
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode


class Source(Protocol):
    """Episodes in order, by place."""

    kind: str
    path: Path

    def names(self) -> list[str]:
        """Names of the episodes."""

    def state(self, number: int) -> list[int]:
        """What changes when the files of an episode change."""

    def open(self, number: int) -> Episode:
        """Open an episode; raises EpisodeError where it cannot be read."""


def open_source(path: Path, layout: str | None = None) -> Source:
    """Open a data set of any kind.

    Args:
        path: a folder of HDF5 episodes or one of them, a LeRobotDataset's folder, a zarr folder, a folder of MCAPs that
            `--to mcap` wrote or one of them.
        layout: of HDF5 files, where the caller knows better than they.

    Raises:
        DatasetError: it is none of them; with what was found.
    """
    if layout is not None and layout not in LAYOUTS:
        raise DatasetError(f"--layout is '{layout}'; allowed: {list(LAYOUTS)}")
    if not path.exists():
        raise DatasetError(f"{path}: no such file or folder")
    if path.is_file():
        return McapFolder(path) if is_mcap(path) else Hdf5Folder(path, cast(Layout | None, layout))
    if is_lerobot(path):
        return LeRobotDataset(path)
    if is_zarr(path):
        return ZarrDataset(path)
    if naming.episodes_in(path):
        return Hdf5Folder(path, cast(Layout | None, layout))
    if is_mcap(path):
        return McapFolder(path)
    found = sorted(entry.name for entry in path.iterdir())[:6]
    raise DatasetError(
        f"{path}: holds no data set; found {found}; allowed: episodes (*.hdf5), a LeRobotDataset (meta/info.json), "
        "a zarr group, or MCAPs of `vgil dataset convert`"
    )


# ---- episodes by a path alone, for those who keep lists of them


def members(folder: Path) -> list[Path] | None:
    """A path for each episode of a LeRobotDataset, which `open_episode` takes; None where the folder is none."""
    return [folder / name for name in LeRobotDataset(folder).names()] if is_lerobot(folder) else None


def open_episode(path: Path) -> Episode:
    """Open an HDF5 file, or an episode that `members` names.

    Raises:
        EpisodeError: it cannot be read.
    """
    if path.exists() or not is_lerobot(path.parent):
        return EpisodeReader(path)
    source = _dataset(path.parent)
    names = source.names()
    if path.name not in names:
        raise DatasetError(f"{path.parent}: no {path.name}; allowed: one of its {len(names)} episodes")
    return source.open(names.index(path.name))


def state_of(path: Path) -> list[int]:
    """Size and time of change of an episode's files; [] where it has none."""
    try:
        if path.exists():
            stat = path.stat()
            return [stat.st_size, stat.st_mtime_ns]
        source = _dataset(path.parent)
        return source.state(source.names().index(path.name))
    except (OSError, ValueError, DatasetError):
        return []


_DATASETS: dict[tuple[Path, tuple[int, ...]], LeRobotDataset] = {}  # `meta` is read once; nothing in it is open


def _dataset(folder: Path) -> LeRobotDataset:
    files = [file for name in ("meta/info.json", *TASK_FILES) if (file := folder / name).exists()]
    key = (folder, tuple(file.stat().st_mtime_ns for file in files))
    if key not in _DATASETS:
        _DATASETS[key] = LeRobotDataset(folder)
    return _DATASETS[key]
