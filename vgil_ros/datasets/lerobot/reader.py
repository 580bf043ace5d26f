"""LeRobotDatasets, v2.0 to v3.0, read in place: episode by episode, nothing unpacked, nothing copied."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.lerobot.info import (
    ACTION,
    FEATURES,
    INDEX,
    INFO,
    PLACES,
    STATE,
    SUCCESS,
    Info,
    file_in,
    read_info,
)
from vgil_ros.datasets.lerobot.tables import EpisodeRows, PictureColumn
from vgil_ros.datasets.lerobot.video import VideoImages
from vgil_ros.datasets.schema import FLAGS
from vgil_ros.datasets.stored import Images, StoredEpisode, without_filled
from vgil_ros.extras import needed_by

NS_A_MS = 1e6
NEXT_SUCCESS = "next.success"
FLAT = ("stamp_ns", *FLAGS)  # one number a row; others are (T, D)
TASK_FILES = ("meta/tasks.parquet", "meta/tasks.jsonl")


@dataclass(frozen=True)
class Place:
    """Where an episode lies: its table, and per video feature the file and the first frame in it."""

    data: Path
    videos: Mapping[str, tuple[Path, int]]
    rows: int | None
    tasks: tuple[str, ...]
    own: Mapping[str, Any]  # what a data set of ours says of the episode


class LeRobotDataset:
    """A data set; made once, episodes are opened one by one.

    Raises:
        DatasetError: naming the file of `meta` that cannot be read.
    """

    kind = "lerobot"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.info: Info = read_info(path)
        self._tasks = _tasks(self.info)
        self._places = _places_v3(self.info) if self.info.major == 3 else _places_v2(self.info)
        self._numbers = tuple(self._places)

    @property
    def layout(self) -> str:
        """Which version, in words."""
        return "lerobot_v3" if self.info.major == 3 else "lerobot_v2.1"

    def names(self) -> list[str]:
        """Names of the episodes, in order."""
        return [f"episode_{number}" for number in self._numbers]

    def state(self, number: int) -> list[int]:
        """Size and time of change of the files of the episode at a place, and of the words of its tasks."""
        place = self._place(number)
        files = [
            *(self.path / name for name in ("meta/info.json", *TASK_FILES)),
            place.data,
            *(file for file, _ in place.videos.values()),
        ]
        return [value for file in files if file.exists() for value in (file.stat().st_size, file.stat().st_mtime_ns)]

    def _place(self, number: int) -> Place:
        return self._places[self._numbers[number]]

    def open(self, number: int) -> StoredEpisode:
        """Open the episode at a place of `names`.

        Raises:
            DatasetError: it cannot be read; with the file and why.
        """
        index, place = self._numbers[number], self._place(number)
        rows = EpisodeRows(place.data, index)
        if place.rows is not None and rows.rows != place.rows:
            raise DatasetError(
                f"{place.data}: {rows.rows} rows of episode {index}; allowed: {place.rows}, which meta speaks of"
            )
        return open_episode(self.path / f"episode_{index}", self.layout, self.info, rows, place, self._tasks)


def open_episode(
    path: Path,
    layout: str,
    info: Info,
    rows: EpisodeRows,
    place: Place,
    tasks: Mapping[int, str],
    row_tasks: Sequence[str] = (),
) -> StoredEpisode:
    """Read an episode's numbers; its images are read when asked for.

    Args:
        tasks: words by `task_index`. row_tasks: (T,) of a table without that column.
    """
    stored = _numbers(info, rows)
    cameras = _cameras(path, info, rows, place)
    attrs = _attributes(info, place, stored, tasks)
    columns = _columns(stored, rows.rows)
    if not attrs.get("streams"):  # not ours: nobody says what the columns are
        columns = {name: values for name, values in columns.items() if name not in ("skew_ns", "flags", "arrival_ns")}
    read = {*(FEATURES[name] for name in columns), *info.cameras.values(), *INDEX, SUCCESS, NEXT_SUCCESS}
    return StoredEpisode(
        path,
        layout,
        without_filled(columns, attrs),
        cameras,
        attrs,
        tasks=row_tasks or _row_tasks(stored, tasks),
        unread=[name for name in rows.names if name not in read],
    )


def _cameras(path: Path, info: Info, rows: EpisodeRows, place: Place) -> dict[str, Images]:
    cameras: dict[str, Images] = {}
    for name, key in info.cameras.items():
        if info.features[key]["dtype"] == "image":
            cameras[name] = PictureColumn(rows, key, info.root)
            continue
        if key not in place.videos:
            raise DatasetError(
                f"{place.data}: meta names no video of {key} for {path.name}; allowed: one for each episode"
            )
        file, first = place.videos[key]
        if not file.is_file():
            raise DatasetError(f"{file}: no such file; {path.name} has its images of {name} there")
        cameras[name] = VideoImages(file, first, rows.rows, info.fps)
    return cameras


def _columns(stored: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """(T,) or (T, D) of each column, by its name in ours."""
    columns = {
        name: stored[key].reshape(rows) if name in FLAT else stored[key].reshape(rows, -1)
        for name, key in FEATURES.items()
        if key in stored
    }
    if "skew_ns" in columns:
        columns["skew_ns"] = np.rint(columns["skew_ns"] * NS_A_MS).astype(np.int64)
    for name in FLAGS:
        if name in columns:
            columns[name] = np.rint(np.nan_to_num(columns[name])).astype(np.uint8)
    return columns


def _numbers(info: Info, rows: EpisodeRows) -> dict[str, np.ndarray]:
    """(T, ...) of the features that are read."""
    wanted = [key for key in (*FEATURES.values(), SUCCESS, NEXT_SUCCESS, "task_index") if key in rows.names]
    missing = [key for key in (STATE, ACTION) if key not in wanted]
    if missing:
        raise DatasetError(f"{rows.path}: lacks {missing}; found {list(rows.names)}")
    stored = rows.columns(wanted)
    for key in (STATE, ACTION):
        values = stored[key] = stored[key].reshape(rows.rows, -1)
        if values.dtype.kind != "f":
            stored[key] = values.astype(np.float32)
    return stored


def _attributes(info: Info, place: Place, stored: Mapping[str, np.ndarray], tasks: Mapping[int, str]) -> dict[str, Any]:
    """As in a file of ours."""
    attrs: dict[str, Any] = {**info.own.get("attributes", {}), **place.own}
    attrs["rate_hz"] = info.fps
    attrs.setdefault("joint_names", info.joint_names)
    if attrs["joint_names"] is None:
        del attrs["joint_names"]
    if info.action_names is not None:
        attrs["action_names"] = info.action_names
    if info.robot is not None:
        attrs["robot"] = info.robot
    first = int(stored["task_index"].reshape(-1)[0]) if "task_index" in stored else None
    task = tasks.get(first) if first is not None else None
    attrs["task"] = task if task is not None else next(iter(place.tasks), "")
    if SUCCESS in stored and int(stored[SUCCESS].reshape(-1)[-1]) >= 0:
        attrs["success"] = bool(stored[SUCCESS].reshape(-1)[-1])
    elif NEXT_SUCCESS in stored:
        attrs["success"] = bool(stored[NEXT_SUCCESS].any())
    return attrs


def _row_tasks(stored: Mapping[str, np.ndarray], tasks: Mapping[int, str]) -> list[str]:
    """(T,) the task of each row; [] where it does not change."""
    numbers = stored["task_index"].reshape(-1).tolist() if "task_index" in stored else []
    return [tasks.get(number, "") for number in numbers] if len(set(numbers)) > 1 else []


def _tasks(info: Info) -> dict[int, str]:
    file = info.root / (TASK_FILES[0] if info.major == 3 else TASK_FILES[1])
    if info.major == 3:
        table = _table(file)
        text = next((name for name in table.column_names if name != "task_index"), None)
        if text is None or "task_index" not in table.column_names:
            raise DatasetError(f"{file}: columns are {table.column_names}; allowed: task_index and the task's words")
        pairs = list(zip(table.column("task_index").to_pylist(), table.column(text).to_pylist(), strict=True))
    else:
        pairs = [(one["task_index"], one["task"]) for one in _lines(file, "task_index", "task")]
    return {_whole(number, file, "task_index"): str(words) for number, words in pairs}


def _whole(value: Any, file: Path, name: str) -> int:
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise DatasetError(f"{file}: {name} is {value!r}; allowed: a whole number") from error


def _places_v3(info: Info) -> dict[int, Place]:
    folder = info.root / "meta/episodes"
    files = sorted(folder.glob("*/*.parquet"))
    if not files:
        raise DatasetError(f"{folder}: no parquet file; allowed: at least one, which says where each episode lies")
    places: dict[int, Place] = {}
    for file in files:
        for row in _table(file, lambda name: not name.startswith("stats/")).to_pylist():
            try:
                places[int(row["episode_index"])] = _place_v3(info, row)
            except (KeyError, IndexError, TypeError, ValueError) as error:
                raise DatasetError(f"{file}: a row lacks what is needed ({type(error).__name__}: {error})") from error
    return dict(sorted(places.items()))


def _place_v3(info: Info, row: Mapping[str, Any]) -> Place:
    data = info.data_path.format(chunk_index=row["data/chunk_index"], file_index=row["data/file_index"])
    videos = {}
    for key, feature in info.features.items():
        at = f"videos/{key}"
        if feature["dtype"] == "video" and row.get(f"{at}/chunk_index") is not None and info.video_path:
            name = info.video_path.format(
                video_key=key, chunk_index=row[f"{at}/chunk_index"], file_index=row[f"{at}/file_index"]
            )
            file = file_in(info.root, name, info.root / INFO)
            videos[key] = (file, round(row[f"{at}/from_timestamp"] * info.fps))
    file = file_in(info.root, data, info.root / INFO)
    return Place(file, videos, int(row["length"]), tuple(row.get("tasks") or ()), _own(row))


def _places_v2(info: Info) -> dict[int, Place]:
    places = {}
    file = info.root / "meta/episodes.jsonl"
    for row in _lines(file, "episode_index"):
        number = _whole(row["episode_index"], file, "episode_index")
        try:
            places[number] = _place_v2(info, number, row)
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{info.root / INFO}: data_path is {info.data_path!r}, video_path {info.video_path!r}: no file of "
                f"episode {number} can be named ({type(error).__name__}: {error}); allowed: {PLACES['v2.1']}"
            ) from error
    return dict(sorted(places.items()))


def _place_v2(info: Info, number: int, row: Mapping[str, Any]) -> Place:
    fields = {"episode_chunk": number // info.chunks_size, "episode_index": number}
    videos = {
        key: (file_in(info.root, str(info.video_path).format(video_key=key, **fields), info.root / INFO), 0)
        for key, feature in info.features.items()
        if feature["dtype"] == "video"
    }
    data = file_in(info.root, info.data_path.format(**fields), info.root / INFO)
    length = int(row["length"]) if "length" in row else None
    return Place(data, videos, length, tuple(row.get("tasks") or ()), _own(row))


def _own(row: Mapping[str, Any]) -> dict[str, Any]:
    text = row.get("vgil")
    return dict(json.loads(text)) if text else {}


def _table(file: Path, wanted: Any = lambda name: True) -> Any:
    with needed_by("reading parquet"):
        import pyarrow.parquet as pq
    try:
        with pq.ParquetFile(str(file)) as open_file:
            names = [name for name in open_file.schema_arrow.names if wanted(name)]
            return open_file.read(columns=names, use_threads=False)
    except Exception as error:
        raise DatasetError(
            f"{file}: is no parquet file that can be read ({error}); allowed: as LeRobot writes it"
        ) from error


def _lines(file: Path, *needed: str) -> list[dict[str, Any]]:
    try:
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
    except OSError as error:
        raise DatasetError(f"{file}: cannot be read ({error.strerror})") from error
    except ValueError as error:
        raise DatasetError(f"{file}: a line is no JSON ({error}); allowed: one object a line") from error
    for number, line in enumerate(lines, 1):
        if not isinstance(line, dict) or any(key not in line for key in needed):
            raise DatasetError(f"{file}: line {number} is not allowed: an object with {list(needed)} is")
    return lines
