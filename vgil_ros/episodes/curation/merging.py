"""Several data sets as one: their episodes copied into a new folder, their set-ups held against each other first."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from vgil_ros.episodes import naming
from vgil_ros.episodes.checks.same_setup import CAMERAS, setup_of_episode
from vgil_ros.episodes.errors import EpisodeError, WriteFailed, naming_file
from vgil_ros.episodes.reader import EpisodeReader

Progress = Callable[[Iterable[Path]], Iterable[Path]]
HALF = ".half"  # behind the name of a folder that is being made


def setups(files: Sequence[Path]) -> dict[str, dict[str, list[Path]]]:
    """Return for each property of the set-up its values, and the files that have them.

    Raises:
        EpisodeError: where one cannot be read.
    """
    values: dict[str, dict[str, list[Path]]] = {}
    for path in files:
        with naming_file(path), EpisodeReader(path) as episode:
            for key, value in setup_of_episode(episode).items():
                values.setdefault(key, {}).setdefault(value, []).append(path)
    return values


def differences(files: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Return what is not the same in all episodes, in words: what changes the meaning of numbers, and other cameras."""
    grave: list[str] = []
    light: list[str] = []
    for key, found in setups(files).items():
        if len(found) > 1:
            parts = (f"{value} in {len(paths)} ({paths[0]} ...)" for value, paths in found.items())
            (light if key in CAMERAS else grave).append(f"{key}: {'; '.join(parts)}")
    return grave, light


def merge(folders: Sequence[Path], out: Path, *, mixed: bool = False, progress: Progress = iter) -> list[str]:
    """Copy the episodes of folders into a new one, numbered 0, 1, 2 ... in the order given.

    Args:
        folders: data sets.
        out: the new folder; it appears when all of them are in it.
        mixed: also where rates, joints or gripper ranges differ.
        progress: wraps the files, such as `tqdm`.

    Returns:
        What differs between them, in words.

    Raises:
        EpisodeError: where a folder has no episode, `out` exists, or what differs changes the meaning.
        WriteFailed: where it cannot be written.
    """
    return merge_files([path for folder in folders for path in _episodes(folder)], out, mixed=mixed, progress=progress)


def merge_files(files: Sequence[Path], out: Path, *, mixed: bool = False, progress: Progress = iter) -> list[str]:
    """Copy episodes into a new folder, numbered 0, 1, 2 ... in the order given. Arguments and errors as `merge`."""
    need_new(out)
    grave, light = differences(files)
    if grave and not mixed:
        raise EpisodeError(
            f"not merged, these are of different set-ups: {' | '.join(grave)}; --mixed merges them anyway"
        )
    copy_files([(path, f"episode_{number}.hdf5") for number, path in enumerate(files)], out, progress)
    return grave + light


def need_new(out: Path) -> None:
    """Refuse a folder that holds something.

    Raises:
        EpisodeError: it does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise EpisodeError(f"{out}: is there already; allowed: a new folder, or an empty one")


def copy_files(files: Sequence[tuple[Path, str]], out: Path, progress: Progress = iter) -> None:
    """Copy files, each under a name, into a new folder, which appears when all of them are in it.

    Copies and no links: curation changes labels within a file, and that of one set must not change another's. They are
    made in a hidden folder beside it; what a killed process left there goes when the same folder is made again.

    Raises:
        EpisodeError: another process makes the same folder, or the hidden one holds something else.
        WriteFailed: it cannot be written.
    """
    try:
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with _half_of(out) as half:
            for path, (_, name) in zip(progress([path for path, _ in files]), files, strict=True):
                _copy(path, half / name)
                if (log := naming.log_of(path)).is_file():
                    _copy(log, naming.log_of(half / name))
            naming.sync_folder(half)
            half.replace(out)
            naming.sync_folder(out.absolute().parent)
    except OSError as error:
        raise WriteFailed(f"{out}: cannot be written ({error})") from error


@contextlib.contextmanager
def _half_of(out: Path) -> Iterator[Path]:
    """Make the hidden folder beside a new one, empty and held by this process alone; an error removes it."""
    half = out.absolute().with_name(f".{out.absolute().name}{HALF}")
    half.mkdir(exist_ok=True)
    try:
        handle = naming.lock_folder(half)
    except BlockingIOError as error:
        raise EpisodeError(f"{out}: another process makes this folder; allowed: one at a time, let it end") from error
    try:
        left = list(half.iterdir())
        if others := [path.name for path in left if path.suffix not in (".hdf5", naming.LOG) or not path.is_file()]:
            raise EpisodeError(f"{half}: holds {others[:3]}; allowed: episodes and logs alone, that a killed run left")
        for path in left:
            path.unlink()
        try:
            yield half
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
    finally:
        os.close(handle)


def _copy(source: Path, copy: Path) -> None:
    shutil.copyfile(source, copy)
    naming.sync_file(copy)


def _episodes(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise EpisodeError(f"{folder}: no such folder")
    if not (found := naming.episodes_in(folder)):
        raise EpisodeError(f"{folder}: no episode in this folder")
    return found
