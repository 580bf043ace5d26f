"""Opening HDF5 files so that others can read them, and so that a lock or a broken file is an error with a name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reading.structure import Structure, survey

# The oldest format with single-writer-multiple-reader: "latest" would be unreadable for the peers' HDF5 1.10 to 1.14.
FORMAT = ("v110", "v110")
METADATA_CACHE = 1 << 20  # bytes
LFS = b"version https://git-lfs.github.com/"


def create(path: Path) -> h5py.File:
    """Make a file for writing; its name was claimed before, so HDF5's own lock is not needed."""
    file = h5py.File(path, "w", libver=FORMAT, locking=False)
    cache = file.id.get_mdc_config()  # by itself it grows to 32 MiB with the file
    cache.set_initial_size, cache.initial_size = True, METADATA_CACHE
    cache.min_size, cache.max_size = METADATA_CACHE, METADATA_CACHE
    file.id.set_mdc_config(cache)
    return file


def amend(path: Path) -> h5py.File:
    """Open a file of ours to add what is known at its end."""
    return h5py.File(path, "r+", libver=FORMAT, locking=False)


def open_episode(path: Path, *, unfinished: bool = False) -> h5py.File:
    """Open a file for reading; see `open_surveyed`."""
    return open_surveyed(path, unfinished=unfinished)[0]


def open_surveyed(path: Path, *, unfinished: bool = False) -> tuple[h5py.File, Structure]:
    """Open a file for reading, and say what is in it. Other files that it names are never opened.

    Args:
        path: the file.
        unfinished: also take what a killed writer left, or a cut file, as far as it can be read.

    Raises:
        EpisodeError: naming the file and the reason.
    """
    if not path.is_file():
        raise EpisodeError(f"{path}: no such file")
    length = path.stat().st_size
    if length == 0:
        raise EpisodeError(f"{path}: empty (0 bytes)")
    file = open_plain(path, unfinished)
    try:
        with naming_file(path):
            return file, survey(file, path, length)
    except BaseException:
        file.close()
        raise


@contextmanager
def open_briefly(path: Path) -> Iterator[h5py.File]:
    """Open for reading within a block, after which nothing of the file may be used; a third less than h5py's own way.

    It is opened as h5py opens files, so that others of this process may have it open at the same time.

    Raises:
        OSError: HDF5 cannot open it.
    """
    number = h5py.h5f.open(bytes(path), h5py.h5f.ACC_RDONLY)
    file = h5py.File(number)
    try:
        yield file
    finally:
        number.close()
        file.id.close()


def open_plain(path: Path, unfinished: bool = False) -> h5py.File:
    """Open with HDF5's own locking, so that a plain `h5py.File` in the same process agrees with it; else without."""
    try:
        try:
            return h5py.File(path, "r", swmr=unfinished)
        except OSError as error:
            if "lock" not in str(error):
                raise
            return h5py.File(path, "r", locking=False, swmr=unfinished)
    except Exception as error:
        raise EpisodeError(f"{path}: {_reason(path, ' '.join(str(error).split()))}") from error


def _reason(path: Path, text: str) -> str:
    with path.open("rb") as file:
        if file.read(len(LFS)) == LFS:
            return "holds only Git LFS' pointer to the file, not the file; fetch it (`git lfs pull`)"
    if not h5py.is_hdf5(path):
        return "not an HDF5 file, or its beginning is damaged"
    if "truncated" in text:
        return f"cut short: {text[text.index('truncated') :].rstrip(')')}"
    if "already open for" in text or "consistency flags" in text:
        return "still being written, or its writer was killed; `vgil episodes repair` recovers its rows"
    return f"not readable as HDF5 ({text})"


def text_array(names: tuple[str, ...] | list[str]) -> np.ndarray:
    """Return names in a form that h5py stores as an attribute, also where there are none."""
    return np.array(list(names), dtype=h5py.string_dtype())
