"""Folders of episodes -> checked statistics, cached from run to run."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
from pydantic import ValidationError

from vgil_ros.assets import cache_dir
from vgil_ros.core.errors import VgilError
from vgil_ros.datasets.source import members, state_of
from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.same_setup import CAMERAS, VECTOR
from vgil_ros.episodes.errors import naming_file
from vgil_ros.training.data.episode_stats import EpisodeStats, read_episode_stats
from vgil_ros.training.errors import TrainingError

VERSION = 10  # of the cached statistics; raise it when what they hold changes
MOST_READERS = 8  # processes that read
A_FEW = 16  # files that are read here, without other processes
Progress = Callable[[Iterable[Path]], Iterable[Path]]
Read = Callable[[Path], EpisodeStats | str]


def scan_folder(
    folder: Path,
    *,
    skip_bad: bool = False,
    aborted: bool = False,
    log: Callable[[str], None] = lambda _: None,
    progress: Progress = iter,
) -> list[EpisodeStats]:
    """Return the statistics of every episode of a folder (or of one file, or of a LeRobotDataset), in order.

    A file whose size and time of change are those of the last scan is not read again. Many are read by several
    processes, since HDF5 reads one file at a time in each.

    Args:
        skip_bad: go on without episodes that cannot be trained from; each is said.
        aborted: take those that lie apart since they were not recorded to their end too; otherwise they are counted.

    Raises:
        TrainingError: no folder, no episode in it, none that is good, or a bad one without `skip_bad`.
    """
    paths = _paths(folder, aborted=aborted)
    if not aborted and folder.is_dir() and (apart := naming.aborted_in(folder)):
        log(f"{len(apart)} aborted episodes in {apart[0].parent} are left out; data.aborted=true takes them too")
    cache = ScanCache(folder)
    known = {path: cache.recall(path) for path in paths}
    stats: list[EpisodeStats] = []
    bad: list[str] = []
    with _readers([path for path in paths if known[path] is None]) as read:
        for path in progress(paths):
            one = known[path] or read(path)
            if isinstance(one, str):
                bad.append(one)
                continue
            stats.append(one if known[path] else cache.keep(path, one))
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


def _read(path: Path) -> EpisodeStats | str:
    """An episode's statistics, or why it cannot be trained from."""
    try:
        with naming_file(path):
            return read_episode_stats(path)
    except VgilError as error:
        return str(error)


@contextmanager
def _readers(paths: Sequence[Path]) -> Iterator[Read]:
    """Give what reads each of `paths`, ahead of being asked where they are many."""
    count = min(MOST_READERS, len(os.sched_getaffinity(0)))
    if len(paths) <= A_FEW or count < 2:
        yield _read
        return
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("fork"), _start_reader)
    try:
        asked: dict[Path, Future[EpisodeStats | str]] = {path: pool.submit(_read, path) for path in paths}
        yield lambda path: _result(asked[path], path)
    finally:
        pool.shutdown(cancel_futures=True)


def _result(asked: Future[EpisodeStats | str], path: Path) -> EpisodeStats | str:
    try:
        return asked.result()
    except BrokenExecutor:  # a process was killed, for want of memory perhaps
        return _read(path)


def _start_reader() -> None:
    cv2.setNumThreads(0)  # its threads are not there after a fork
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is the parent's, which ends its readers


def _paths(folder: Path, *, aborted: bool) -> list[Path]:
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
    if (inside := members(folder)) is not None:
        return inside
    apart = naming.aborted_in(folder)
    paths = [*naming.episodes_in(folder), *(apart if aborted else ())]
    if not paths:
        parts = len(list(folder.glob(f"*{naming.PART}")))
        hint = f"; {parts} unfinished ones, see `vgil episodes repair`" if parts else ""
        hint += f"; {len(apart)} aborted ones in {apart[0].parent}: data.aborted=true takes them" if apart else ""
        if folder.name == naming.ABORTED_FOLDER and any(folder.glob(f"*{naming.ABORTED}")):
            hint += f"; aborted ones are taken by --data {folder.parent} with data.aborted=true"
        raise TrainingError(f"{folder}: no episode (*.hdf5) in this folder{hint}")
    return paths


class ScanCache:
    """Statistics of a folder's files on disk, by size and time of change. Where it cannot be kept, all is read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
        self._file = cache_dir("episodes") / f"{name}.json"
        self._entries: dict[str, Any] = {}
        self._changed = False
        with suppress(OSError, ValueError, AttributeError):
            kept = json.loads(self._file.read_text(encoding="utf-8"))
            self._entries = kept["episodes"] if kept.get("version") == VERSION else {}

    def recall(self, path: Path) -> EpisodeStats | None:
        """Give the statistics of an unchanged file, or None."""
        entry = self._entries.get(self._key(path))
        if entry is None or entry["state"] != state_of(path):
            return None
        try:
            return EpisodeStats.model_validate({**entry["facts"], "path": path})
        except ValidationError:
            return None

    def keep(self, path: Path, stats: EpisodeStats) -> EpisodeStats:
        """Remember the statistics of a file, and give them back."""
        self._entries[self._key(path)] = {"state": state_of(path), "facts": stats.model_dump(mode="json")}
        self._changed = True
        return stats

    def _key(self, path: Path) -> str:
        """A file's place below the folder: an aborted episode may have the name of a whole one."""
        return path.name if path == self._folder else path.relative_to(self._folder).as_posix()

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


def check_vectors(stats: Sequence[EpisodeStats], vectors: Sequence[str]) -> None:
    """Raise TrainingError unless every episode has each of these vectors, whole, and none stands there twice."""
    if len(set(vectors)) != len(vectors):
        raise TrainingError(f"data.vectors is {list(vectors)}; allowed: each name once")
    for one in stats:
        missing = [name for name in vectors if name not in one.vectors]
        if missing:
            raise TrainingError(
                f"{one.path}: lacks vector {', '.join(missing)}, or it holds NaN or infinity; found "
                f"{list(one.vectors)}; choose with data.vectors those that all episodes have"
            )


def check_same(
    stats: Sequence[EpisodeStats], cameras: Sequence[str], *, base: bool, vectors: Sequence[str] = ()
) -> None:
    """Raise TrainingError unless a number means the same in all episodes: dims, rates, joints, grippers, image sizes.

    Args:
        cameras: those that are trained on; of the others nothing is asked.
        base: train on base actions too, which every episode then needs.
        vectors: further streams that are trained on.
    """
    stated: dict[str, tuple[Path, str]] = {}  # the first word on each; what a layout does not store is not compared
    for one in stats:
        if base and one.base is None:
            raise TrainingError(f"{one.path}: has no base_action; train without data.base_action")
        for what, value in _setup(one, cameras, vectors).items():
            path, ours = stated.setdefault(what, (one.path, value))
            if ours != value:
                raise TrainingError(
                    f"{what} is not the same in all episodes: {path} has {ours}, {one.path} has {value}; "
                    "allowed: one in a training, keep the others in another folder"
                )


def _setup(one: EpisodeStats, cameras: Sequence[str], vectors: Sequence[str]) -> dict[str, str]:
    """An episode's set-up in words, of the cameras and vectors trained on; sizes are as the images have them."""
    read = {"columns of qpos": f"{len(one.qpos.mean)}", "columns of action": f"{len(one.action.mean)}"}
    read |= {f"size of {name}": f"{one.cameras[name].height}x{one.cameras[name].width}" for name in cameras}
    read |= {f"size of {name}": f"{len(one.vectors[name].mean)}" for name in vectors}
    told = {key: text for key, text in one.setup.items() if key not in (*CAMERAS, "base")}
    unused = [key for key in told if key.startswith(VECTOR) and key.removeprefix(VECTOR) not in vectors]
    return read | {k: v for k, v in told.items() if not k.startswith("size of ") and k not in (*read, *unused)}


def fingerprint(
    stats: Sequence[EpisodeStats], cameras: Sequence[str], *, base: bool, vectors: Sequence[str] = ()
) -> str:
    """Of the data itself: the same for the same episodes wherever they lie, in whatever order."""
    text = "\n".join([*sorted(one.digest for one in stats), *cameras, str(base), *vectors])
    return hashlib.sha256(text.encode()).hexdigest()[:32]
