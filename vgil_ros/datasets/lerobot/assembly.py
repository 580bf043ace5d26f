"""Pieces to a LeRobotDataset: episodes numbered, tables and videos in the files of the version, and `meta`.

v3.0 puts episodes one behind the other into files of about 100 MiB (tables) and 200 MiB (videos); v2.1 has a table and
a video for each episode. Videos are joined packet by packet, tables row group by row group: memory does not grow.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.datasets.lerobot import stats, video
from vgil_ros.datasets.lerobot.info import DATA_MIB, FILES_A_CHUNK, INDEX, INFO, PLACES, VIDEO_MIB, Version
from vgil_ros.datasets.pieces import Piece, place, write_json
from vgil_ros.datasets.stored import tasks_of

MIB = 1 << 20
BATCH = 10  # episodes whose `meta` is written together
DATA = "data.parquet"
# where pandas has the tasks: as the table's index
_PANDAS = {
    "index_columns": ["__index_level_0__"],
    "column_indexes": [
        {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
         "metadata": {"encoding": "UTF-8"}}
    ],
    "columns": [
        {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64",
         "metadata": None},
        {"name": None, "field_name": "__index_level_0__", "pandas_type": "unicode", "numpy_type": "object",
         "metadata": None},
    ],
    "pandas_version": "2.0.0",
}  # fmt: skip


def assemble(pieces: Sequence[Piece], out: Path, version: Version, about: Mapping[str, Any]) -> list[str]:
    """Make the data set in the empty folder `out`; gives the episodes' names in it.

    Args:
        about: what `info.json` says whatever the episodes are: robot_type, fps, features.
    """
    tasks = {task: i for i, task in enumerate(dict.fromkeys(task for piece in pieces for task in _tasks(piece)))}
    starts = np.cumsum([0, *(piece.rows for piece in pieces)]).tolist()
    if version == "v3.0":
        rows = _assemble_v3(pieces, out, about, tasks, starts)
    else:
        rows = list(_assemble_v2(pieces, out, about, tasks, starts))
    whole: dict[str, stats.Stats] = {}
    (out / "meta").mkdir(parents=True, exist_ok=True)
    writer = (_EpisodesV3 if version == "v3.0" else _EpisodesV2)(out)
    for piece, row in zip(pieces, rows, strict=True):
        number = int(row["episode_index"])
        found = stats.as_arrays(piece.stats())
        index = _index_columns(number, starts[number], piece.rows, float(about["fps"]), tasks, piece)
        index["timestamp"] = np.arange(piece.rows) / float(about["fps"])
        found |= {key: stats.of_rows(values, version) for key, values in index.items()}
        writer.add({**row, "vgil": json.dumps(piece.facts["own"], sort_keys=True, ensure_ascii=False)}, found)
        whole = stats.merge([whole, found])
    writer.close()
    _write_tasks(out, version, tasks)
    if version == "v3.0":  # v2.1 has them for each episode alone
        write_json(out / "meta/stats.json", stats.as_lists(whole))
    write_json(out / INFO, _info(out, version, about, pieces, len(tasks)))
    return [f"episode_{number}" for number in range(len(pieces))]


def _tasks(piece: Piece) -> list[str]:
    """The tasks of an episode, each once."""
    return list(dict.fromkeys(str(task) for _, task in piece.facts["tasks"]))


def _index_columns(
    number: int, start: int, rows: int, fps: float, tasks: Mapping[str, int], piece: Piece
) -> dict[str, np.ndarray]:
    """(T,) of each of LeRobot's own columns."""
    frames = np.arange(rows)
    columns = {
        "timestamp": frames / fps,
        "frame_index": frames,
        "episode_index": np.full(rows, number),
        "index": start + frames,
        "task_index": np.array([tasks[task] for task in tasks_of(piece.facts["tasks"], rows)]),
    }
    return {key: values.astype(INDEX[key]) for key, values in columns.items()}


def _video_keys(about: Mapping[str, Any]) -> dict[str, str]:
    """Camera by video feature."""
    return {
        key: key.removeprefix("observation.images.")
        for key, one in about["features"].items()
        if one["dtype"] == "video"
    }


class _DataFile:
    """A table that pieces are appended to."""

    def __init__(self, path: Path) -> None:
        self._path, self._writer = path, None
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, piece: Piece, columns: Mapping[str, np.ndarray]) -> None:
        """Add an episode, row group by row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        done = 0
        with pq.ParquetFile(str(piece.folder / DATA)) as source:
            for group in range(source.metadata.num_row_groups):
                table = source.read_row_group(group, use_threads=False)
                stop = done + len(table)
                schema = _with_index(table.schema, columns)
                arrays = [*table.columns, *(pa.array(values[done:stop]) for values in columns.values())]
                if self._writer is None:
                    plain = [name for name in schema.names if not pa.types.is_struct(schema.field(name).type)]
                    self._writer = pq.ParquetWriter(
                        str(self._path), schema, compression=dict.fromkeys(plain, "snappy"), use_dictionary=False
                    )
                whole = pa.Table.from_arrays([_whole(one) for one in arrays], schema=schema)
                self._writer.write_table(whole, row_group_size=len(whole))  # type: ignore[attr-defined]
                done = stop

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def _whole(column: Any) -> Any:
    return column.combine_chunks() if hasattr(column, "combine_chunks") else column


def _with_index(schema: Any, columns: Mapping[str, np.ndarray]) -> Any:
    import pyarrow as pa

    told = json.loads(schema.metadata[b"huggingface"])
    for key, values in columns.items():
        schema = schema.append(pa.field(key, pa.from_numpy_dtype(values.dtype)))
        told["info"]["features"][key] = {"dtype": str(values.dtype), "_type": "Value"}
    return schema.with_metadata({"huggingface": json.dumps(told)})


def _filled(sizes: Sequence[int], limit: int, kinds: Sequence[bytes] = ()) -> list[list[int]]:
    """Places of pieces that share a file, so that none is larger than `limit` but for a single one.

    Args:
        kinds: of each piece; those of two kinds do not share a file.
    """
    groups: list[list[int]] = []
    held = 0
    for i, size in enumerate(sizes):
        if not groups or held + size >= limit or (kinds and kinds[i] != kinds[i - 1]):
            groups.append([])
            held = 0
        groups[-1].append(i)
        held += size
    return groups


def _assemble_v3(
    pieces: Sequence[Piece], out: Path, about: Mapping[str, Any], tasks: Mapping[str, int], starts: Sequence[int]
) -> list[dict[str, Any]]:
    """Write tables and videos; gives the row of each episode in `meta/episodes`, without statistics."""
    fps = float(about["fps"])
    rows: list[dict[str, Any]] = [
        {"episode_index": i, "tasks": _tasks(piece), "length": piece.rows} for i, piece in enumerate(pieces)
    ]
    data_path, video_path = PLACES["v3.0"]
    for number, group in enumerate(_filled([(p.folder / DATA).stat().st_size for p in pieces], DATA_MIB * MIB)):
        at = dict(zip(("chunk_index", "file_index"), divmod(number, FILES_A_CHUNK), strict=True))
        file = _DataFile(out / data_path.format(**at))
        for i in group:
            file.append(pieces[i], _index_columns(i, starts[i], pieces[i].rows, fps, tasks, pieces[i]))
            rows[i] |= {f"data/{key}": value for key, value in at.items()}
            rows[i] |= {"dataset_from_index": starts[i], "dataset_to_index": starts[i + 1]}
        file.close()
    for key, camera in _video_keys(about).items():
        files = [piece.folder / f"{camera}.mp4" for piece in pieces]
        kinds = [video.headers_of(file) for file in files]
        for number, group in enumerate(_filled([f.stat().st_size for f in files], VIDEO_MIB * MIB, kinds)):
            at = dict(zip(("chunk_index", "file_index"), divmod(number, FILES_A_CHUNK), strict=True))
            path = out / video_path.format(video_key=key, **at)
            path.parent.mkdir(parents=True, exist_ok=True)
            video.join([files[i] for i in group], path, fps)
            for i in group:
                first = starts[i] - starts[group[0]]
                rows[i] |= {f"videos/{key}/{name}": value for name, value in at.items()}
                rows[i] |= {f"videos/{key}/from_timestamp": first / fps}
                rows[i] |= {f"videos/{key}/to_timestamp": (first + pieces[i].rows) / fps}
    return rows


def _assemble_v2(
    pieces: Sequence[Piece], out: Path, about: Mapping[str, Any], tasks: Mapping[str, int], starts: Sequence[int]
) -> Iterator[dict[str, Any]]:
    data_path, video_path = PLACES["v2.1"]
    for i, piece in enumerate(pieces):
        at = {"episode_chunk": i // FILES_A_CHUNK, "episode_index": i}
        file = _DataFile(out / data_path.format(**at))
        file.append(piece, _index_columns(i, starts[i], piece.rows, float(about["fps"]), tasks, piece))
        file.close()
        for key, camera in _video_keys(about).items():
            place(piece.folder / f"{camera}.mp4", out / video_path.format(video_key=key, **at))
        yield {"episode_index": i, "tasks": _tasks(piece), "length": piece.rows}


class _EpisodesV3:
    """`meta/episodes`: where each episode lies, and its statistics."""

    def __init__(self, out: Path) -> None:
        self._path = out / "meta/episodes/chunk-000/file-000.parquet"
        self._path.parent.mkdir(parents=True)
        self._writer: Any = None
        self._rows: list[dict[str, Any]] = []

    def add(self, row: Mapping[str, Any], found: Mapping[str, stats.Stats]) -> None:
        flat = {
            f"stats/{key}/{name}": value for key, one in stats.as_lists(found).items() for name, value in one.items()
        }
        self._rows.append({**row, **flat, "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0})
        if len(self._rows) == BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows, schema=None if self._writer is None else self._writer.schema)
        if self._writer is None:
            self._writer = pq.ParquetWriter(str(self._path), table.schema, compression="snappy")
        self._writer.write_table(table)
        self._rows = []

    def close(self) -> None:
        self._flush()
        if self._writer is not None:
            self._writer.close()


class _EpisodesV2:
    """`meta/episodes.jsonl` and `meta/episodes_stats.jsonl`."""

    def __init__(self, out: Path) -> None:
        self._episodes = (out / "meta/episodes.jsonl").open("w", encoding="utf-8")
        self._stats = (out / "meta/episodes_stats.jsonl").open("w", encoding="utf-8")

    def add(self, row: Mapping[str, Any], found: Mapping[str, stats.Stats]) -> None:
        self._episodes.write(json.dumps(row, ensure_ascii=False) + "\n")
        told = {"episode_index": row["episode_index"], "stats": stats.as_lists(found)}
        self._stats.write(json.dumps(told) + "\n")

    def close(self) -> None:
        self._episodes.close()
        self._stats.close()


def _write_tasks(out: Path, version: Version, tasks: Mapping[str, int]) -> None:
    if version == "v2.1":
        lines = [json.dumps({"task_index": i, "task": task}, ensure_ascii=False) for task, i in tasks.items()]
        (out / "meta/tasks.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [("task_index", pa.int64()), ("__index_level_0__", pa.string())], metadata={"pandas": json.dumps(_PANDAS)}
    )
    table = pa.Table.from_arrays([pa.array(list(tasks.values()), pa.int64()), pa.array(list(tasks))], schema=schema)
    pq.write_table(table, str(out / "meta/tasks.parquet"))


def _info(out: Path, version: Version, about: Mapping[str, Any], pieces: Sequence[Piece], tasks: int) -> dict[str, Any]:
    """`info.json` as the version has it."""
    features = {key: dict(one) for key, one in about["features"].items()}
    keys = _video_keys(about)
    data_path, video_path = PLACES[version]
    first = {"chunk_index": 0, "file_index": 0, "episode_chunk": 0, "episode_index": 0}
    for key in keys:
        features[key]["info"] = video.describe(out / video_path.format(video_key=key, **first), float(about["fps"]))
    count = len(pieces)
    sizes = {"data_files_size_in_mb": DATA_MIB, "video_files_size_in_mb": VIDEO_MIB}
    if version == "v2.1":
        sizes = {"total_videos": count * len(keys), "total_chunks": -(-count // FILES_A_CHUNK)}
    return {
        "codebase_version": version,
        "robot_type": about["robot_type"],
        "total_episodes": count,
        "total_frames": sum(piece.rows for piece in pieces),
        "total_tasks": tasks,
        "chunks_size": FILES_A_CHUNK,
        **sizes,
        "fps": about["fps"],
        "splits": {"train": f"0:{count}"},
        "data_path": data_path,
        "video_path": video_path if keys else None,
        "features": features,
        "vgil": about["vgil"],
    }
