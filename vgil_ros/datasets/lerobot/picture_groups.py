"""Row groups of pictures: to reach one picture in a parquet file, the whole column of its row group has to be read.

Ours are small. LeRobot's hold an episode, hundreds of MB: such a group is unpacked once into a file beside the other
caches, from which each picture is a few pages away, as the library `datasets` does it with whole data sets.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vgil_ros.assets import cache_dir
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot.info import file_in

LARGE = 24 << 20  # bytes of a group that is unpacked to disk
KEPT = 256 << 20  # bytes of the others that a process keeps, all together
OPEN = 64  # groups that a process keeps: an unpacked one is an open file
ROOM = 5 << 30  # bytes that unpacking leaves free on the disk
Pick = Callable[[int], bytes]  # row of the group -> a picture's file


class Rows(Protocol):
    """Where groups come from; see `tables.EpisodeRows`."""

    path: Path
    state: tuple[int, ...]  # what changes when the file does

    def group_column(self, group: int, name: str) -> Any: ...

    def group_bytes(self, group: int, name: str) -> int: ...


_kept: OrderedDict[tuple[Path, tuple[int, ...], str, int], tuple[Pick, int]] = OrderedDict()


def get(rows: Rows, name: str, group: int, root: Path) -> Pick:
    """Give what picks a picture of a group; `root` is the data set's, of pictures that lie beside the table.

    Raises:
        DatasetError: a row holds no picture.
    """
    key = (rows.path, rows.state, name, group)
    found = _kept.get(key)
    if found is None:
        size = rows.group_bytes(group, name)
        unpacked = _unpacked(rows, name, group, root) if size > LARGE else None
        found = _kept[key] = (unpacked, 0) if unpacked else (_in_memory(rows, name, group, root), size)
        while (sum(one for _, one in _kept.values()) > KEPT and len(_kept) > 1) or len(_kept) > OPEN:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return found[0]


def _in_memory(rows: Rows, name: str, group: int, root: Path) -> Pick:
    column = rows.group_column(group, name)
    where = f"{rows.path}: {name}"
    return lambda row: _file_of(column[row].as_py(), root, f"{where} row {row}")


def _file_of(cell: Any, root: Path, where: str) -> bytes:
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    if data is None and isinstance(cell, dict) and cell.get("path"):
        try:
            data = file_in(root, str(cell["path"]), where).read_bytes()
        except OSError as error:
            raise DatasetError(f"{where}: {cell['path']} cannot be read ({error.strerror})") from error
    if not isinstance(data, bytes):
        raise DatasetError(f"{where} holds no picture; allowed: a PNG or JPEG")
    return data


def _unpacked(rows: Rows, name: str, group: int, root: Path) -> Pick | None:
    """From a file of pictures one behind the other, and one of their ends; made where it is not there yet.

    None where there is no room, or no folder: it goes on in memory, slower.
    """
    stat = rows.path.stat()
    text = f"{rows.path.resolve()} {stat.st_size} {stat.st_mtime_ns} {name} {group}"
    base = cache_dir("pictures") / hashlib.sha256(text.encode()).hexdigest()[:40]
    ends_file, pictures_file = base.with_suffix(".npy"), base.with_suffix(".bin")
    if not ends_file.is_file():
        try:
            ends_file.parent.mkdir(parents=True, exist_ok=True)
            if shutil.disk_usage(ends_file.parent).free < rows.group_bytes(group, name) + ROOM:
                return None
            _unpack(rows, name, group, root, ends_file, pictures_file)
        except OSError:
            return None
    ends = np.load(ends_file)
    pictures = np.memmap(pictures_file, np.uint8, "r")
    return lambda row: pictures[ends[row - 1] if row else 0 : ends[row]].tobytes()


def _unpack(rows: Rows, name: str, group: int, root: Path, ends_file: Path, pictures_file: Path) -> None:
    ends = []
    handle, made = tempfile.mkstemp(dir=ends_file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            for row, cell in enumerate(rows.group_column(group, name)):
                file.write(_file_of(cell.as_py(), root, f"{rows.path}: {name} row {row}"))
                ends.append(file.tell())
        Path(made).replace(pictures_file)
        handle, made = tempfile.mkstemp(dir=ends_file.parent, suffix=".part")
        with os.fdopen(handle, "wb") as file:
            np.save(file, np.array(ends, np.int64))
        Path(made).replace(ends_file)  # after the pictures: where it is, they are whole
    except BaseException:
        with suppress(OSError):
            Path(made).unlink()
        raise
