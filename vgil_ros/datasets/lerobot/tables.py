"""The rows of one episode within a parquet file: its columns as arrays, and pictures that lie in a column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.frame import JPEG_START
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot import picture_groups
from vgil_ros.datasets.stored import decode_file
from vgil_ros.extras import needed_by

EPISODE = "episode_index"
_last: dict[tuple[Path, tuple[int, ...], int], dict[tuple[str, ...], Any]] = {}  # the last row group, by columns


class EpisodeRows:
    """The rows of an episode.

    Args:
        path: the parquet file.
        episode: its `episode_index`; None: all rows of the file are one episode's.

    Raises:
        DatasetError: the file is missing or damaged, or has no row of the episode.
    """

    def __init__(self, path: Path, episode: int | None) -> None:
        with needed_by("reading parquet"):
            import pyarrow.parquet as pq
        self.path = path
        try:
            stat = path.stat()
            self.state: tuple[int, ...] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            self._file = pq.ParquetFile(str(path), memory_map=True)
            self.spans = list(self._spans(episode))
        except DatasetError:
            raise
        except Exception as error:
            raise DatasetError(
                f"{path}: is no parquet file that can be read ({error}); allowed: as LeRobot writes it"
            ) from error
        self.rows = sum(stop - start for _, start, stop in self.spans)
        if not self.rows:
            raise DatasetError(f"{path}: has no row of episode {episode}; allowed: at least one")

    def _spans(self, episode: int | None) -> Iterator[tuple[int, int, int]]:
        """(row group, first row in it, row behind the last) where the episode lies."""
        meta = self._file.metadata
        place = next((i for i in range(meta.num_columns) if meta.schema.column(i).path == EPISODE), None)
        for group in range(meta.num_row_groups):
            about = meta.row_group(group)
            if episode is None or place is None:
                yield group, 0, about.num_rows
                continue
            told = about.column(place).statistics
            if told is not None and told.has_min_max and not told.min <= episode <= told.max:
                continue
            shared = told is None or not told.has_min_max or told.min != told.max
            numbers = self._table(group, (EPISODE,), shared).column(EPISODE).to_numpy()
            here = np.flatnonzero(numbers == episode)
            if len(here):
                yield group, int(here[0]), int(here[-1]) + 1

    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(self._file.schema_arrow.names)

    def _read(self, group: int, name: str) -> Any:
        return self._file.read_row_group(group, columns=[name], use_threads=False).column(name)

    def _table(self, group: int, names: tuple[str, ...], shared: bool) -> Any:
        """Columns of a row group; kept where other episodes lie in it too, of which one comes next, as a rule."""
        if not shared:
            return self._file.read_row_group(group, columns=list(names), use_threads=False)
        key = (self.path, self.state, group)
        if key not in _last:
            _last.clear()
        tables = _last.setdefault(key, {})
        if names not in tables:
            tables[names] = self._file.read_row_group(group, columns=list(names), use_threads=False)
        return tables[names]

    def group_column(self, group: int, name: str) -> Any:
        """A column of a row group, as it is in the file."""
        return self._read(group, name)

    def group_bytes(self, group: int, name: str) -> int:
        """Bytes of a column of a row group, unpacked."""
        about = self._file.metadata.row_group(group)
        parts = [about.column(i) for i in range(about.num_columns)]
        return sum(one.total_uncompressed_size for one in parts if one.path_in_schema.startswith(f"{name}."))

    def columns(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """(T, ...) of each column.

        Raises:
            DatasetError: a column cannot be read, or a row of it is not like the others.
        """
        import pyarrow as pa

        wanted = list(names)
        parts = []
        for group, start, stop in self.spans:
            shared = stop - start < self._file.metadata.row_group(group).num_rows
            parts.append(self._table(group, tuple(wanted), shared).slice(start, stop - start))
        whole = pa.concat_tables(parts)
        return {name: self._array(whole.column(name), name) for name in wanted}

    def _array(self, column: Any, name: str) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        values = column.combine_chunks()
        if isinstance(values, pa.ChunkedArray):
            values = pa.concat_arrays(values.chunks)
        if isinstance(values, pa.ExtensionArray):
            values = values.storage
        shape: list[int] = [len(values)]
        is_list = pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list
        while any(one(values.type) for one in is_list) and not values.null_count:
            inner = values.flatten()
            if not pa.types.is_fixed_size_list(values.type) and len(pc.unique(pc.list_value_length(values))) > 1:
                raise DatasetError(f"{self.path}: rows of {name} are of different lengths; allowed: one length")
            shape.append(len(inner) // max(int(np.prod(shape)), 1))
            values = inner
        if values.null_count:
            raise DatasetError(
                f"{self.path}: {name} has {values.null_count} empty values; allowed: a value in each row"
            )
        result: np.ndarray = values.to_numpy(zero_copy_only=False).reshape(shape)
        return result

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class PictureColumn:
    """Pictures of an episode in a parquet column: files (PNG, JPEG) as bytes, or paths of files beside the data set."""

    costly = True

    def __init__(self, rows: EpisodeRows, name: str, root: Path) -> None:
        self._rows, self._name, self._root = rows, name, root
        self._ends = np.cumsum([stop - start for _, start, stop in rows.spans])

    def __len__(self) -> int:
        return self._rows.rows

    def _bytes(self, row: int) -> bytes:
        place = int(np.searchsorted(self._ends, row, side="right"))
        group, start, stop = self._rows.spans[place]
        within = start + row - int(self._ends[place] - (stop - start))
        return picture_groups.get(self._rows, self._name, group, self._root)(within)

    def rgb(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        return decode_file(self._bytes(row))

    def jpeg(self, row: int) -> bytes | None:
        """The picture's file, if it is a JPEG."""
        data = self._bytes(row)
        return data if data.startswith(JPEG_START) else None

    def stored(self) -> Iterator[bytes]:
        """The files."""
        return (self._bytes(row) for row in range(len(self)))

    def close(self) -> None:
        """Close the table."""
        self._rows.close()
