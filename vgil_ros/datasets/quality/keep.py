"""The clean set: the episodes of a data set in which nothing grave was found, as a new data set of the same kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot.reader import LeRobotDataset
from vgil_ros.datasets.plan import Plan
from vgil_ros.datasets.source import Source, open_source
from vgil_ros.datasets.workers import Progress
from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.merging import copy_files, need_new

FILES = {"hdf5": ".hdf5", "mcap": naming.LOG}  # kinds with a file for each episode


def keep_good(
    path: Path,
    names: Sequence[str],
    out: Path,
    *,
    layout: str | None = None,
    workers: int = 1,
    progress: Progress = lambda items, what, count: items,
) -> None:
    """Write some episodes of a data set into a new one; the source stays as it is.

    HDF5 files and MCAPs are copied, under their own names. A zarr data set or a LeRobotDataset is written anew: what is
    not read of it is not kept, as the new one's manifest says, and videos are encoded once more.

    Args:
        names: of the episodes to keep.
        out: the new folder; it must not exist, or be empty.

    Raises:
        DatasetError: no episode is to be kept, or it cannot be written.
    """
    if not names:
        raise DatasetError(f"{path}: has no episode to keep; needed: at least one, see what was found")
    source = open_source(path, layout)
    if source.kind in FILES:
        folder, end = path.parent if path.is_file() else path, FILES[source.kind]
        files = [(folder / f"{name}{end}", f"{name}{end}") for name in names]

        def bar(paths: Iterable[Path]) -> Iterable[Path]:
            return progress(paths, "copy", len(files))

        copy_files(files, out, bar)
        return
    to, images = _same_kind(source)
    plan = Plan(source=path, to=to, images=images, only=tuple(names))
    result = convert_dataset(plan, out, workers=workers, progress=progress)
    if result.left_out:
        raise DatasetError(
            f"{out}: lacks {len(result.left_out)} of {len(names)} episodes: {next(iter(result.left_out.values()))}"
        )


def check_new(out: Path, source: Path) -> None:
    """Refuse, before the work begins, a place for the clean set that holds something, or lies within the source.

    Raises:
        EpisodeError: it does.
    """
    need_new(out)
    inside, folder = out.absolute(), source.absolute()
    if folder == inside or folder in inside.parents:
        raise DatasetError(f"{out}: lies within the data set {source}; allowed: a folder beside it")


def _same_kind(source: Source) -> tuple[str, str | None]:
    """(target, images) of a conversion that leaves a data set as it is, as far as that can be."""
    if not isinstance(source, LeRobotDataset):
        return "zarr", None
    single = [key for key in source.info.cameras.values() if source.info.features[key]["dtype"] == "image"]
    images = "png" if single or not source.info.cameras else "h264"
    return ("lerobot_v3" if source.info.major == 3 else "lerobot_v2.1"), images
