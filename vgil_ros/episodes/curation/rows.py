"""A run of an episode's rows as a file of its own: every row as it was, and the observation after the last of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dm_env
import h5py
import numpy as np

from vgil_ros.core.streams import Flag
from vgil_ros.episodes import h5
from vgil_ros.episodes.checks.quick_check import lengths as rows_of
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.images import jpeg_bytes
from vgil_ros.episodes.recovery.end import copy_attributes
from vgil_ros.episodes.schema import FINAL, STAMPS, write_jpeg

BLOCK = 64 << 20  # bytes that are copied at a time


def rows_in(path: Path) -> int:
    """Return T.

    Raises:
        EpisodeError: where it cannot be read.
    """
    with naming_file(path), EpisodeReader(path) as episode:
        return episode.rows


def check_range(path: Path, rows: int, first: int, last: int) -> None:
    """Raise an EpisodeError unless rows first..last, both included, are of an episode of so many rows."""
    if not 0 <= first <= last < rows:
        raise EpisodeError(f"{path}: rows {first} to {last}; allowed: from 0 to {rows - 1}, the first before the last")


def write_run(source: Path, copy: Path, first: int, last: int) -> None:
    """Write rows first..last of an episode, both included, to a new file.

    What was beside row `last + 1` becomes the final observation, so that T+1 TimeSteps come back, in files that have
    one. The first row is marked as FIRST. Attributes are kept; `rows_held` is counted anew.

    Args:
        source: an episode of any layout.
        copy: the new file; what lies there is lost.
        first, last: rows.

    Raises:
        EpisodeError: where rows are asked for that it has not, or a dataset cannot be read.
    """
    with naming_file(source), EpisodeReader(source) as episode:
        check_range(source, episode.rows, first, last)
        with h5.create(copy) as out:
            _copy_rows(episode, out, first, last)
            copy_attributes(episode.file, out)
            if FINAL in episode.structure.groups:
                _write_final(episode, out, last)
            _count_anew(out, episode.attrs)


def _copy_rows(episode: EpisodeReader, out: h5py.File, first: int, last: int) -> None:
    by_row = rows_of(episode.structure)
    for name in episode.structure.datasets:
        if name.startswith(f"{FINAL}/"):
            continue
        if name not in by_row:
            episode.file.copy(episode.file[name], out, name)
            continue
        if reason := episode.structure.disbelief(name, by_row=True):
            raise EpisodeError(f"{episode.path}: {name} {reason}")
        stored = episode.file[name]
        if _holds_jpegs(stored):
            made = _copy_jpegs(stored, out, name, first, last)
        elif name == "compress_len":
            made = _make(out, name, stored, data=stored[:, first : last + 1])
        else:
            made = _copy_values(stored, out, name, first, last)
        copy_attributes(stored, made)
    if "timesteps/step_type" in out:
        out["timesteps/step_type"][0] = int(dm_env.StepType.FIRST)


def _holds_jpegs(stored: h5py.Dataset) -> bool:
    """Whether it is padded JPEGs, whose chunks hold one row each."""
    one_row = stored.chunks is not None and stored.chunks[0] == 1
    return bool(stored.dtype == np.uint8 and stored.ndim == 2 and one_row and "images" in stored.name)


def _copy_jpegs(stored: h5py.Dataset, out: h5py.File, name: str, first: int, last: int) -> h5py.Dataset:
    """Row by row, so that padding costs no room in the copy either."""
    made = out.create_dataset(name, (0, 0), np.uint8, maxshape=(None, None), chunks=stored.chunks)
    width = 1
    for row in range(first, last + 1):
        data = jpeg_bytes(stored[row])
        width = max(width, len(data))
        made.id.set_extent((row - first + 1, width))
        write_jpeg(made, row - first, data)
    return made


def _copy_values(stored: h5py.Dataset, out: h5py.File, name: str, first: int, last: int) -> h5py.Dataset:
    rows = last - first + 1
    made = _make(out, name, stored, shape=(rows, *stored.shape[1:]))
    step = max(1, int(BLOCK // max(1, stored.dtype.itemsize * int(np.prod(stored.shape[1:])))))
    for at in range(0, rows, step):
        upto = min(rows, at + step)
        made[at:upto] = stored[first + at : first + upto]
    return made


def _make(out: h5py.File, name: str, like: h5py.Dataset, **given: Any) -> h5py.Dataset:
    shape = given["data"].shape if "data" in given else given["shape"]
    chunks = like.chunks
    limit = like.maxshape if chunks else None
    if chunks and any(m is not None and part > m for part, m in zip(chunks, limit or (), strict=False)):
        chunks, limit = True, None
    if chunks and limit is not None and not all(m is None for m in limit):
        limit = tuple(m if m is None or m >= n else n for m, n in zip(limit, shape, strict=True))
    dtype = None if "data" in given else like.dtype
    return out.create_dataset(name, dtype=dtype, maxshape=limit, chunks=chunks, **given)


def _write_final(episode: EpisodeReader, out: h5py.File, last: int) -> None:
    """The observation after the last action: the episode's own, or that of the row that follows."""
    file, row = episode.file, last + 1
    if row == episode.rows:
        file.copy(FINAL, out)
        return
    group, source = out.create_group(FINAL), file[FINAL]
    for name in source:
        if isinstance(source[name], h5py.Dataset) and f"observations/{name}" in file:
            group[name] = file[f"observations/{name}"][row]
    for kind in ("images", "images_depth"):
        for camera in source.get(kind, ()):
            stored = file[f"observations/{kind}/{camera}"]
            padded = stored.ndim == 2 and stored.dtype == np.uint8
            value = np.frombuffer(jpeg_bytes(stored[row]), np.uint8) if padded else stored[row]
            made = group.create_dataset(f"{kind}/{camera}", data=value)
            copy_attributes(stored, made)
    for key in ("reward", "discount"):
        group.attrs[key] = np.float32(file[f"timesteps/{key}"][row])
    group.attrs["stamp_ns"] = np.int64(file[STAMPS][row])


def _count_anew(out: h5py.File, attributes: dict[str, Any]) -> None:
    if "rows_held" in attributes and "sync/flags" in out:
        out.attrs["rows_held"] = int(np.any(out["sync/flags"][()] & Flag.HELD, axis=1).sum())
