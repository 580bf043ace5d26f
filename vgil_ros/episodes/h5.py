"""Opening HDF5 files so that others can read them, and so that a lock or a broken file is an error with a name."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from vgil_ros.episodes.errors import EpisodeError

# The oldest format with single-writer-multiple-reader: "latest" would be unreadable for the peers' HDF5 1.10 to 1.14.
FORMAT = ("v110", "v110")
METADATA_CACHE = 1 << 20  # bytes


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
    """Open a file for reading.

    Args:
        path: the file.
        unfinished: also take what a killed writer left, or a cut file, as far as it can be read.

    Raises:
        EpisodeError: naming the file and the reason.
    """
    if not path.is_file():
        raise EpisodeError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise EpisodeError(f"{path}: empty (0 bytes)")
    try:
        return h5py.File(path, "r", locking=False, swmr=unfinished)
    except (OSError, RuntimeError, ValueError) as error:
        raise EpisodeError(f"{path}: {_reason(path, str(error))}") from error


def _reason(path: Path, text: str) -> str:
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
