"""Folders of episodes -> checked statistics, cached from run to run."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import naming
from vgil_ros.episodes.errors import naming_file
from vgil_ros.training.data.episode_stats import EpisodeStats, read_episode_stats
from vgil_ros.training.errors import TrainingError

VERSION = 2  # of the cached statistics; raise it when what they hold changes
Progress = Callable[[Iterable[Path]], Iterable[Path]]


def cache_dir() -> Path:
    """Where statistics are cached: `$XDG_CACHE_HOME/vgil_ros/episodes`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vgil_ros" / "episodes"


def scan_folder(
    folder: Path,
    *,
    skip_bad: bool = False,
    log: Callable[[str], None] = lambda _: None,
    progress: Progress = iter,
) -> list[EpisodeStats]:
    """Return the statistics of every episode of a folder (or of one file), in order.

    A file whose size and time of change are those of the last scan is not read again.

    Args:
        skip_bad: go on without episodes that cannot be trained from; each is said.

    Raises:
        TrainingError: no folder, no episode in it, none that is good, or a bad one without `skip_bad`.
    """
    paths = _paths(folder)
    cache = ScanCache(folder)
    stats: list[EpisodeStats] = []
    bad: list[str] = []
    for path in progress(paths):
        try:
            with naming_file(path):
                stats.append(cache.recall(path) or cache.keep(path, read_episode_stats(path)))
        except VgilError as error:
            bad.append(str(error))
    cache.save()
    for words in bad:
        log(f"bad episode: {words}" + ("; skipped" if skip_bad else ""))
    if bad and not skip_bad:
        raise TrainingError(
            f"{folder}: {len(bad)} of {len(paths)} episodes cannot be trained from: {'; '.join(bad[:3])}"
            f"{' ...' if len(bad) > 3 else ''}; mend or remove them, or train without them with --skip-bad"
        )
    if not stats:
        raise TrainingError(f"{folder}: none of {len(paths)} episodes can be trained from: {bad[0]}")
    return stats


def _paths(folder: Path) -> list[Path]:
    try:
        folder.stat()
    except (OSError, ValueError) as error:
        if not isinstance(error, FileNotFoundError):
            words = error.strerror if isinstance(error, OSError) else error
            raise TrainingError(f"{folder}: cannot be read ({words})") from None
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise TrainingError(f"{folder}: no such folder or file; a folder of episodes is needed")
    paths = naming.episodes_in(folder)
    if not paths:
        parts = len(list(folder.glob(f"*{naming.PART}")))
        hint = f"; {parts} unfinished ones, see `vgil episodes repair`" if parts else ""
        raise TrainingError(f"{folder}: no episode (*.hdf5) in this folder{hint}")
    return paths


class ScanCache:
    """Statistics of a folder's files on disk, by size and time of change. Where it cannot be kept, all is read."""

    def __init__(self, folder: Path) -> None:
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
        self._file = cache_dir() / f"{name}.json"
        self._entries: dict[str, Any] = {}
        self._changed = False
        with suppress(OSError, ValueError, AttributeError):
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._entries = kept["episodes"] if kept.get("version") == VERSION else {}

    def recall(self, path: Path) -> EpisodeStats | None:
        """Give the statistics of an unchanged file, or None."""
        entry = self._entries.get(path.name)
        if entry is None or entry["state"] != _state(path):
            return None
        try:
            return EpisodeStats.model_validate({**entry["facts"], "path": path})
        except ValidationError:
            return None

    def keep(self, path: Path, stats: EpisodeStats) -> EpisodeStats:
        """Remember the statistics of a file, and give them back."""
        self._entries[path.name] = {"state": _state(path), "facts": stats.model_dump(mode="json")}
        self._changed = True
        return stats

    def save(self) -> None:
        """Write what is new."""
        if not self._changed:
            return
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"version": VERSION, "episodes": self._entries}, file)
            Path(name).replace(self._file)


def _state(path: Path) -> list[int]:
    with suppress(OSError):
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns]
    return []


def choose_cameras(stats: Sequence[EpisodeStats], wanted: Sequence[str] | None) -> tuple[str, ...]:
    """Return the policy's cameras: those wanted, or all of the first episode.

    Raises:
        TrainingError: an episode lacks one, or there is none at all.
    """
    cameras = tuple(wanted) if wanted is not None else tuple(stats[0].cameras)
    if not cameras:
        raise TrainingError(f"{stats[0].path}: has no camera")
    for one in stats:
        missing = [name for name in cameras if name not in one.cameras]
        if missing:
            raise TrainingError(
                f"{one.path}: lacks camera {', '.join(missing)}; found {list(one.cameras)}; "
                "choose cameras that all episodes have with data.cameras"
            )
    return cameras


def check_same(stats: Sequence[EpisodeStats], cameras: Sequence[str], *, base: bool) -> None:
    """Raise TrainingError unless dims, image sizes, rates and joint names are the same in all episodes."""
    stated: dict[str, tuple[Path, Any]] = {}  # the first word on each
    for one in stats:
        if base and one.base is None:
            raise TrainingError(f"{one.path}: has no base_action; train without data.base_action")
        for what, value in (
            ("dims of qpos", len(one.qpos.mean)),
            ("dims of action", len(one.action.mean)),
            ("Hz", one.rate_hz),
            ("joint names", one.joint_names),
            *((f"size of {name}", _size(one, name)) for name in cameras),
        ):
            if value is None:  # what a layout does not store cannot be compared
                continue
            path, ours = stated.setdefault(what, (one.path, value))
            if ours != value:
                raise TrainingError(
                    f"{what} are mixed: {path} has {ours}, {one.path} has {value}; "
                    "allowed: the same in all episodes of a training"
                )


def fingerprint(stats: Sequence[EpisodeStats], cameras: Sequence[str], *, base: bool) -> str:
    """Of the data itself: the same for the same episodes wherever they lie, in whatever order."""
    text = "\n".join([*sorted(one.digest for one in stats), *cameras, str(base)])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _size(stats: EpisodeStats, camera: str) -> tuple[int, int]:
    return stats.cameras[camera].height, stats.cameras[camera].width
