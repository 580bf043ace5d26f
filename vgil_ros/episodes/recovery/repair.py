"""Recover the whole rows of an episode whose writer was killed, or whose file was cut short."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from vgil_ros.core.frame import is_whole_image
from vgil_ros.episodes import h5, naming
from vgil_ros.episodes.checks.quick_check import lengths as rows_of
from vgil_ros.episodes.checks.quick_check import quick_check
from vgil_ros.episodes.errors import EpisodeError, WriteFailed, naming_file
from vgil_ros.episodes.reading.images import jpeg_bytes
from vgil_ros.episodes.reading.structure import Structure, survey
from vgil_ros.episodes.recovery.broken_file import BrokenFile
from vgil_ros.episodes.recovery.end import copy_attributes, copy_end
from vgil_ros.episodes.schema import DEPTHS, FINAL, IMAGES, write_image, write_jpeg

ESSENTIAL = ("action", "observations/qpos")
Progress = Callable[[Iterable[int]], Iterable[int]]


@dataclass(frozen=True)
class Repaired:
    """What came of it.

    Attributes:
        source, path: the broken file, and the new one.
        rows, expected: rows saved, and rows that the broken file spoke of.
        lost: datasets that could not be read and are left out.
        kept: where the broken file lies now; None where it is removed, since all that was in it is in the new file.
    """

    source: Path
    path: Path
    rows: int
    expected: int
    lost: tuple[str, ...]
    kept: Path | None

    @property
    def removed(self) -> bool:
        """Whether the `.part` is gone."""
        return self.kept is None


def repair(source: Path | str, *, progress: Progress = iter) -> Repaired:
    """Write the whole rows of a broken episode to a new file beside it; saved episodes are never touched.

    The new file takes the `.part`'s own number where it is free, else the next. The `.part` is removed only when
    nothing of it is missing from the new file; else it is kept as `.part.kept`, which nobody takes for one that is
    still to be repaired. A repaired episode has no final observation, unless its file was whole.

    Args:
        source: an `episode_N.hdf5.part`, or a file that was cut.
        progress: wraps the rows that are copied, such as `tqdm`.

    Raises:
        EpisodeError: when it is still being recorded, or not one whole row is in it.
        WriteFailed: when the new file cannot be written.
    """
    source = Path(source)
    with naming_file(source, "repaired"), naming.not_being_written(source), _open_broken(source) as broken:
        handle, name = tempfile.mkstemp(prefix=".repair_", suffix=f".hdf5{naming.HALF}", dir=source.parent)
        os.close(handle)
        copy = Path(name)
        try:
            rows, expected, lost = _copy(source, broken, copy, progress)
            quick_check(copy, rows)
            os.chmod(copy, 0o644)
            path = _publish(copy, source)
        except OSError as error:
            raise WriteFailed(f"{source.parent}: the repaired file cannot be written ({error})") from error
        finally:
            copy.unlink(missing_ok=True)
        complete = rows == expected and not lost and not broken.missing
    kept: Path | None = source
    if source.name.endswith(naming.PART):
        kept = None if complete else naming.put_aside(source)
    if kept is None:
        source.unlink()
    return Repaired(source, path, rows, expected, lost, kept)


def whole_rows(part: Path) -> int:
    """Return how many rows of an unfinished file have all their parts in it; 0 where it cannot be read at all."""
    try:
        with BrokenFile(part) as broken, h5py.File(broken, "r") as file:
            lengths, _ = _readable(survey(file, part, broken.present))
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        return 0
    return min(lengths.values(), default=0) if all(name in lengths for name in ESSENTIAL) else 0


def remove_if_empty(part: Path) -> bool:
    """Remove a `.part` that nobody records to and that not one row reached; return whether it was one.

    Raises:
        EpisodeError: when it is still being recorded.
    """
    with naming.not_being_written(part):
        empty = part.stat().st_size == 0 or (_closed_properly(part) and whole_rows(part) == 0)
    if empty:
        part.unlink(missing_ok=True)
    return empty


def _closed_properly(part: Path) -> bool:
    """Whether its structure can be read and nothing of it is missing: only then is "no row" a fact."""
    try:
        with BrokenFile(part) as broken, h5py.File(broken, "r") as file:
            return not broken.missing and not _readable(survey(file, part, broken.present))[1]
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        return False


def _open_broken(source: Path) -> BrokenFile:
    if not source.is_file():
        raise EpisodeError(f"{source}: no such file")
    try:
        return BrokenFile(source)
    except ValueError as error:
        raise EpisodeError(f"{source}: nothing to recover, {error}") from error


def _publish(copy: Path, source: Path) -> Path:
    handle = os.open(copy, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    final = naming.final_of(source) if source.name.endswith(naming.PART) else naming.next_free(source)
    return naming.publish_free(copy, final)


def _copy(source: Path, broken: BrokenFile, copy: Path, progress: Progress) -> tuple[int, int, tuple[str, ...]]:
    try:
        file = h5py.File(broken, "r")
        structure = survey(file, source, broken.present)
    except EpisodeError:
        raise
    except Exception as error:  # whatever HDF5 stumbles over in a damaged file
        raise EpisodeError(f"{source}: nothing to recover, its structure cannot be read ({error})") from error
    with file, h5.create(copy) as out:
        lengths, gone = _readable(structure)
        if missing := [name for name in ESSENTIAL if name not in lengths]:
            raise EpisodeError(f"{source}: nothing to recover, it lacks {missing}, or they are damaged")
        images = [name for name in lengths if name.startswith((f"{IMAGES}/", f"{DEPTHS}/"))]
        small = {name: _small(file, name, broken) for name in lengths if name not in images}
        lost = gone + [name for name, values in small.items() if values is None]
        if unreadable := [name for name in ESSENTIAL if name in lost]:
            raise EpisodeError(f"{source}: nothing to recover, {unreadable} lie in the part that is missing")
        kept = {name: values for name, values in small.items() if values is not None}
        rows = min([_length(name, v) for name, v in kept.items()] + [lengths[name] for name in images])
        rows = _copy_images(file, out, images, rows, broken, progress)
        if rows == 0:
            raise EpisodeError(f"{source}: nothing to recover, it has no whole row")
        for name, values in kept.items():
            whole = values[:, :rows] if name == "compress_len" else values[:rows]
            lost += _create_small(out, name, file, whole)
        expected = min(lengths.values())  # a row without its action or stamp is none
        whole_file = rows == expected and not lost and not broken.missing
        lost += copy_end(file, out, structure, complete=whole_file)
        out.attrs["repaired"] = f"{rows} of {expected} rows from {source.name}"
        return rows, expected, tuple(sorted(lost))


def _readable(structure: Structure) -> tuple[dict[str, int], list[str]]:
    """Return T of every dataset with rows that can be opened and is no larger than it can be, and the other paths."""
    gone = [path for path in structure.broken if not path.startswith(FINAL)]
    lengths = {}
    for path, length in rows_of(structure).items():
        by_row = path.startswith((f"{IMAGES}/", f"{DEPTHS}/"))
        if structure.disbelief(path, by_row=by_row, cut=True):
            gone.append(path)
        else:
            lengths[path] = length
    return lengths, gone


def _length(name: str, values: np.ndarray) -> int:
    return values.shape[1] if name == "compress_len" else len(values)


def _small(file: h5py.File, name: str, broken: BrokenFile) -> np.ndarray | None:
    """Return a small dataset's rows as far as they lie in the file, or None where it cannot be read."""
    try:
        dataset = file[name]
        values = dataset[()]
        return values if not broken.missing else _present(dataset, values, broken.present)
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        return None


def _present(dataset: h5py.Dataset, values: np.ndarray, present: int) -> np.ndarray:
    """Cut an array off before what reads as zeros, because it lies beyond the end of a cut file."""
    axis = 1 if dataset.name == "/compress_len" else 0
    rows = values.shape[axis]
    if dataset.chunks is None:
        size = max(1, values.nbytes // max(1, rows))
        if axis == 0 and dataset.id.get_offset() is not None:
            rows = int(np.clip((present - dataset.id.get_offset()) // size, 0, rows))
        return values[:rows] if axis == 0 else values
    for info in _chunks(dataset):
        if info.byte_offset + info.size > present:
            rows = min(rows, info.chunk_offset[axis])
    return values[:rows] if axis == 0 else values[:, :rows]


def _copy_images(
    file: h5py.File, out: h5py.File, names: list[str], rows: int, broken: BrokenFile, progress: Progress
) -> int:
    """Copy images row by row up to the first that is not whole; return the rows copied."""
    sources = [file[name] for name in names]
    targets = [_create_images(out, name, source) for name, source in zip(names, sources, strict=True)]
    reaching = [_reaching(source, rows, broken.present) if source.ndim > 2 else None for source in sources]
    widths, done = [1] * len(names), 0
    for row in progress(range(rows)):
        data = [_whole(source, row, reach) for source, reach in zip(sources, reaching, strict=True)]
        if any(image is None for image in data):
            break
        for i, (target, image) in enumerate(zip(targets, data, strict=True)):
            if isinstance(image, bytes):
                widths[i] = max(widths[i], len(image))
                target.id.set_extent((row + 1, widths[i]))
                write_jpeg(target, row, image)
            elif image is not None:
                write_image(target, row, image)
        done = row + 1
    for target in targets:  # of a row that was not whole in another camera, nothing stays
        if len(target) > done:
            target.resize(done, axis=0)
    return done


def _whole(dataset: h5py.Dataset, row: int, reaching: np.ndarray | None) -> bytes | np.ndarray | None:
    """Return an image, or None where it is no whole JPEG, lies beyond the end of the file or cannot be read.

    Args:
        reaching: (T,) of raw images, see `_reaching`; None of JPEGs.
    """
    try:
        if reaching is not None:
            return dataset[row] if reaching[row] else None
        jpeg = jpeg_bytes(dataset[row])
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        return None
    return jpeg if is_whole_image(jpeg) else None


def _reaching(dataset: h5py.Dataset, rows: int, present: int) -> np.ndarray:
    """(T,) bool: raw images that lie within a file's bytes, all of each; what lies beyond reads as zeros, and so does
    what was never written. None does where the index of the chunks cannot be read."""
    if dataset.chunks is None:
        at, size = dataset.id.get_offset(), int(np.prod(dataset.shape[1:])) * dataset.dtype.itemsize
        return np.zeros(rows, bool) if at is None else at + (np.arange(rows) + 1) * size <= present
    parts = np.zeros(rows, int)
    try:
        for info in _chunks(dataset):
            if info.byte_offset is not None and info.byte_offset + info.size <= present:
                parts[info.chunk_offset[0] : info.chunk_offset[0] + dataset.chunks[0]] += 1
    except Exception:  # whatever HDF5 stumbles over in a damaged file
        pass
    needed = np.prod([-(-long // part) for long, part in zip(dataset.shape[1:], dataset.chunks[1:], strict=True)])
    return np.asarray(parts >= needed)


def _chunks(dataset: h5py.Dataset) -> list[Any]:
    """Where the chunks of a dataset lie, in one walk of their index: to ask for them one by one walks it each time."""
    if hasattr(dataset.id, "chunk_iter"):  # HDF5 from 1.12.3 and 1.14 on
        found: list[Any] = []
        dataset.id.chunk_iter(found.append)
        return found
    return [dataset.id.get_chunk_info(i) for i in range(dataset.id.get_num_chunks())]


def _create_images(out: h5py.File, name: str, like: h5py.Dataset) -> h5py.Dataset:
    if like.ndim <= 2:
        chunks = like.chunks if like.ndim == 2 and like.chunks and like.chunks[0] == 1 else (1, 4096)
        made = out.create_dataset(name, (0, 0), np.uint8, maxshape=(None, None), chunks=chunks)
    else:
        size = like.shape[1:]
        made = out.create_dataset(name, (0, *size), like.dtype, maxshape=(None, *size), chunks=(1, *size))
    copy_attributes(like, made)
    return made


def _create_small(out: h5py.File, name: str, file: h5py.File, values: np.ndarray) -> list[str]:
    like = file[name]
    limit: tuple[Any, ...] | None = like.maxshape if like.chunks else None
    made = out.create_dataset(name, data=values, maxshape=limit, chunks=like.chunks if limit else None)
    return copy_attributes(like, made)
