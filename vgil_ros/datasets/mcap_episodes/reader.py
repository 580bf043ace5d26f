"""MCAPs that `vgil dataset convert` wrote, as episodes again: the rows under `OWN`, images where they lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import DEPTH_FILES, JPEG_START, Frame, file_size
from vgil_ros.core.messages import cdr
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.mcap_episodes.index import ALLOWED, OWN, McapIndex, Place
from vgil_ros.datasets.mcap_episodes.topics import ACTED, ACTION, BASES, DEPTH_HEADER, STATE, SWAPPED, SYNCS, TASK
from vgil_ros.datasets.stored import Images, StoredEpisode
from vgil_ros.episodes import image_codec, naming
from vgil_ros.episodes.image_codec import JpegOrder
from vgil_ros.episodes.raw_log.mcap_writer import MAGIC

TOLD = ("attributes", "columns", "cameras", "depths", "vectors")


def is_mcap(path: Path) -> bool:
    """Whether a file begins as an MCAP, or a folder holds some."""
    if path.is_dir():
        return bool(naming.logs_in(path))
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


class McapFolder:
    """The MCAPs of a folder, or one file."""

    kind = "mcap"

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files = [path] if path.is_file() else naming.logs_in(path)

    def names(self) -> list[str]:
        """Names of the files without their ending."""
        return [file.stem for file in self._files]

    def state(self, number: int) -> list[int]:
        """Size and time of change of a file."""
        stat = self._files[number].stat()
        return [stat.st_size, stat.st_mtime_ns]

    def open(self, number: int) -> StoredEpisode:
        """Open the episode at a place of `names`.

        Raises:
            DatasetError: it cannot be read, or is another's MCAP.
        """
        return open_episode(self._files[number])


def open_episode(path: Path) -> McapEpisode:
    """Read an episode's numbers; its images are read when asked for.

    Raises:
        DatasetError: it cannot be read, or is another's MCAP.
    """
    index = McapIndex(path)
    try:
        return McapEpisode(index)
    except DatasetError:
        index.close()
        raise
    except (VgilError, ValueError, KeyError, IndexError, TypeError) as error:
        index.close()
        raise DatasetError(f"{path}: holds no whole episode ({error}); allowed: {ALLOWED}") from error


class MessageImages:
    """One camera's images, each a message."""

    costly = True

    def __init__(self, index: McapIndex, places: Sequence[tuple[Place, bool]]) -> None:
        """Take the places of the messages, and whether each holds a file."""
        self._index, self._places = index, places

    def __len__(self) -> int:
        return len(self._places)

    def _file(self, row: int) -> tuple[str, bytes] | None:
        """(format, bytes) of a row's file; None where it is pixels."""
        place, is_file = self._places[row]
        if not is_file:
            return None
        message = cdr.CdrReader(self._index.read(place))
        message.stamp(), message.string()
        return message.string(), bytes(message.take(message.u32()))

    def rgb(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8."""
        if (file := self._file(row)) is not None:
            return image_codec.decode(np.frombuffer(file[1], np.uint8), self._order(file[0]))
        return image_codec.to_rgb(self._frame(row))

    def _frame(self, row: int) -> Frame:
        return cdr.read_image(self._index.read(self._places[row][0]))[1]

    def millimetres(self, row: int) -> np.ndarray:
        """(H, W) uint16, of a depth camera."""
        if (file := self._file(row)) is None:
            return image_codec.to_millimetres(self._frame(row))
        size = file_size(file[1][len(DEPTH_HEADER) :])
        return image_codec.to_millimetres(Frame(*size, DEPTH_FILES[0], 0, memoryview(file[1])))

    def jpeg(self, row: int) -> bytes | None:
        """The JPEG of a row as it is stored, None where it is none."""
        file = self._file(row)
        return file[1] if file is not None and file[1].startswith(JPEG_START) else None

    @property
    def order(self) -> JpegOrder:
        """In which the JPEGs decode."""
        file = self._file(0) if self._places else None
        return "rgb" if file is None else self._order(file[0])

    @staticmethod
    def _order(kind: str) -> JpegOrder:
        return "bgr" if kind == SWAPPED else "rgb"

    def stored(self) -> Iterator[bytes]:
        """Files, or pixels."""
        for row in range(len(self)):
            file = self._file(row)
            yield self.rgb(row).tobytes() if file is None else file[1]

    def close(self) -> None:
        """Close the file."""
        self._index.close()


class McapEpisode(StoredEpisode):
    """An episode of an MCAP: with depth images and further vectors, where it has them."""

    def __init__(self, index: McapIndex) -> None:
        told = {key: json.loads(index.about[key]) for key in TOLD}
        columns = _columns(index, told["columns"])
        rows = len(columns["qpos"])
        attrs = {**told["attributes"], "contract": index.about["contract"]}
        if not attrs["contract"]:
            del attrs["contract"]
        if attrs.get("stamps") == "nominal":
            columns.pop("stamp_ns", None)
        cameras: dict[str, Images] = {
            name: _images(index, name, places, rows) for name, places in told["cameras"].items()
        }
        tasks = [cdr.CdrReader(one).string() for one in index.rows(TASK)]
        super().__init__(index.path, "mcap", columns, cameras, attrs, tasks=tasks)
        self._index = index
        self._depths = {name: _images(index, name, places, rows) for name, places in told["depths"].items()}
        self._vectors = {name: _arrays(index, topic, "f8", rows) for name, topic in told["vectors"].items()}
        self.depth_names, self.vector_names = tuple(self._depths), tuple(self._vectors)

    def jpeg_order(self, camera: str) -> JpegOrder:
        """As the messages' format says."""
        images = self.images(camera)
        assert isinstance(images, MessageImages)
        return images.order

    def depth(self, camera: str, row: int) -> np.ndarray:
        """(H, W) uint16 mm."""
        if camera not in self._depths:
            raise DatasetError(f"{self.path}: no depth camera '{camera}'; allowed: {list(self._depths)}")
        images = self._depths[camera]
        return self._guard(lambda: images.millimetres(row), f"{camera} row {row}")

    def vector(self, name: str) -> np.ndarray:
        """(T, n) float64."""
        if name not in self._vectors:
            raise DatasetError(f"{self.path}: no vector '{name}'; allowed: {list(self._vectors)}")
        return self._vectors[name]

    def close(self) -> None:
        """Close the file."""
        self._index.close()


def _columns(index: McapIndex, dtypes: Mapping[str, str]) -> dict[str, np.ndarray]:
    """(T, ...) of each column, in the type that it had."""
    states = [cdr.read_joint_state(one) for one in index.rows(STATE)]
    actions = [cdr.read_joint_state(one).position for one in index.rows(ACTION)]
    rows = len(states)
    found: dict[str, Any] = {
        "qpos": [one.position for one in states], "qvel": [one.velocity for one in states],
        "effort": [one.effort for one in states], "action": actions, "stamp_ns": [one.stamp_ns for one in states],
    }  # fmt: skip
    for name, topic in BASES.items():
        twists = [cdr.read_stamped(one, 6)[1] for one in index.rows(topic)]
        found[name] = [one[[0, 5]] for one in twists]
    columns = {name: np.array(found[name], np.dtype(dtype)) for name, dtype in dtypes.items() if name in found}
    for name, (_, kind) in {**SYNCS, **ACTED}.items():
        topic = f"{OWN}/{name}"
        if name in dtypes and (name in SYNCS or index.rows(topic)):  # an older file names those of ACTED and lacks them
            columns[name] = _arrays(index, topic, kind, rows).astype(dtypes[name])
    columns.setdefault("stamp_ns", np.array(found["stamp_ns"], np.int64))
    for name, values in columns.items():
        if len(values) != rows or not rows:
            raise DatasetError(f"{index.path}: {len(values)} rows of {name}; {rows} of the state; allowed: {ALLOWED}")
    return columns


def _arrays(index: McapIndex, topic: str, kind: str, rows: int) -> np.ndarray:
    """(T, n) of a topic of arrays."""
    values = [cdr.read_array(one, np.dtype(kind)) for one in index.rows(topic)]
    if len(values) != rows:
        raise DatasetError(f"{index.path}: {len(values)} messages of {topic}; allowed: {rows}, one for each row")
    return np.array(values, np.dtype(kind)).reshape(rows, -1)


def _images(index: McapIndex, name: str, topics: Sequence[str], rows: int) -> MessageImages:
    """A camera's messages: a row's pixels are on the one topic, its file on the other."""
    places = [(place, bool(number)) for number, topic in enumerate(topics) for place in index.places(topic)]
    if len(places) != rows:
        raise DatasetError(f"{index.path}: {len(places)} images of {name}; allowed: {rows}, one for each row")
    return MessageImages(index, sorted(places))
