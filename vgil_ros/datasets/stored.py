"""An episode within a data set of another layout, with the members of `EpisodeReader`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.episodes import image_codec
from vgil_ros.episodes.image_codec import JpegOrder
from vgil_ros.episodes.reading.columns import ACTING
from vgil_ros.episodes.view import Episode

# the columns of an episode, by the names of `EpisodeReader`; rows are T
COLUMNS = (
    "qpos", "action", "qvel", "effort", "base_vel", "base_action", "stamp_ns", "skew_ns", "flags", "arrival_ns",
    "intervention", "actor", "policy_action", "human_action",
)  # fmt: skip

TUPLES = ("joint_names", "action_names", "streams", "warnings", "tags")  # attributes that JSON gives as lists


def column(episode: Episode, name: str) -> np.ndarray | None:
    """(T, ...) of a column, actions beside the observations that they belong to; None where it has none."""
    if name in ("action", "base_action"):
        values = episode.aligned_action() if name == "action" else episode.aligned_base_action()
    else:
        values = getattr(episode, name)
    return None if values is None else np.asarray(values)[: episode.rows]


Runs = list[tuple[int, str]]  # (first row, words) of each task of an episode, one behind the other


def task_runs(episode: Episode) -> Runs:
    """What was to be done, and from which row on: one entry, where it did not change."""
    tasks = episode.row_tasks()
    return [(row, task) for row, task in enumerate(tasks) if row == 0 or task != tasks[row - 1]]


def tasks_of(runs: Sequence[Sequence[Any]], rows: int) -> tuple[str, ...]:
    """(T,) the task of each row."""
    ends = [*(int(first) for first, _ in runs[1:]), rows]
    return tuple(str(task) for (first, task), end in zip(runs, ends, strict=True) for _ in range(int(first), end))


def without_filled(columns: Mapping[str, np.ndarray], attrs: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Leave out who acted where a table only has it for other episodes' sake (`schema.FLAGS`): of a demonstration.

    It says no rollout (`schema.Shape.told`), and nobody led in it. Others' tables have no `actor` and never say that
    they are rollouts: there the policy had the arms wherever no intervention is noted.
    """
    led = np.any(columns.get("intervention", np.zeros(0)) == 1)
    filled = "actor" in columns and not attrs.get("rollout", False) and not led
    return {name: values for name, values in columns.items() if not (filled and name in ACTING)}


class Images(Protocol):
    """The images of one camera of an episode."""

    costly: bool  # to decode: worth keeping once it is done

    def __len__(self) -> int: ...

    def rgb(self, row: int) -> np.ndarray:
        """(H, W, 3) uint8."""

    def jpeg(self, row: int) -> bytes | None:
        """The JPEG of a row as it is stored, None where it is no JPEG."""

    def stored(self) -> Iterator[bytes]:
        """What is stored of each row, in order: a picture's file, a video's packet, pixels."""

    def close(self) -> None: ...


class StoredEpisode:
    """An open episode. Numbers are in memory; images are read and decoded when asked for.

    Attributes:
        path: the data set's folder and the episode's name in it; no such file need exist.
        layout: the data set's kind.
        unread: names of what the data set has beside what is read of it.
    """

    depth_names: tuple[str, ...] = ()
    vector_names: tuple[str, ...] = ()
    action_alignment = "same_stamp"

    def __init__(
        self,
        path: Path,
        layout: str,
        columns: Mapping[str, np.ndarray],
        cameras: Mapping[str, Images],
        attrs: dict[str, Any],
        *,
        tasks: Sequence[str] = (),
        unread: Sequence[str] = (),
    ) -> None:
        """Take what was read.

        Args:
            columns: (T, ...) each, by `COLUMNS`; qpos and action are there.
            attrs: as in a file of ours: rate_hz, task, joint_names, ...
            tasks: (T,) what was done in each row; () where that is `task` in all of them.
            unread: see the attribute.
        """
        self.path, self.layout = path, layout
        self.attrs = {key: tuple(value) if key in TUPLES else value for key, value in attrs.items()}
        self._columns, self._cameras = dict(columns), dict(cameras)
        self.camera_names = tuple(self._cameras)
        self.unusable: dict[str, str] = {}
        self.rows = len(self.qpos)
        self._tasks = tuple(tasks)
        self.unread = tuple(unread)

    def column(self, name: str) -> np.ndarray | None:
        """(T, ...) or None where the data set has none."""
        return self._columns.get(name)

    @property
    def qpos(self) -> np.ndarray:
        """(T, D)."""
        return self._columns["qpos"]

    @property
    def action(self) -> np.ndarray:
        """(T, A), each beside the observation that it belongs to."""
        return self._columns["action"]

    qvel = property(lambda self: self.column("qvel"))
    effort = property(lambda self: self.column("effort"))
    base_vel = property(lambda self: self.column("base_vel"))
    base_action = property(lambda self: self.column("base_action"))
    stamp_ns = property(lambda self: self.column("stamp_ns"))
    skew_ns = property(lambda self: self.column("skew_ns"))
    flags = property(lambda self: self.column("flags"))
    arrival_ns = property(lambda self: self.column("arrival_ns"))
    intervention = property(lambda self: _flat(self.column("intervention")))
    actor = property(lambda self: _flat(self.column("actor")))
    policy_action = property(lambda self: self.column("policy_action"))
    human_action = property(lambda self: self.column("human_action"))

    def vector(self, name: str) -> np.ndarray:
        """None is kept in these layouts.

        Raises:
            DatasetError: always.
        """
        raise DatasetError(f"{self.path}: no vector '{name}'; allowed: none, this layout keeps none")

    def aligned_action(self) -> np.ndarray:
        """(T, A): these layouts keep an action in the row of its observation."""
        return self.action

    def aligned_base_action(self) -> np.ndarray | None:
        """(T, 2), or None where the robot has no base."""
        return self.column("base_action")

    rate_hz = property(lambda self: self.attrs.get("rate_hz"))
    robot = property(lambda self: self.attrs.get("robot"))
    task = property(lambda self: self.attrs.get("task"))

    def row_tasks(self) -> tuple[str, ...]:
        """(T,) what was done in each row."""
        return self._tasks or (self.task or "",) * self.rows

    success = property(lambda self: self.attrs.get("success"))
    aborted = property(lambda self: self.attrs.get("aborted"))
    warnings = property(lambda self: tuple(self.attrs.get("warnings", ())))
    streams = property(lambda self: tuple(self.attrs.get("streams", ())))
    joint_names = property(lambda self: self.attrs.get("joint_names"))

    def images(self, camera: str) -> Images:
        """The images of a camera.

        Raises:
            DatasetError: for an unknown one.
        """
        if camera not in self._cameras:
            raise DatasetError(f"{self.path}: no camera '{camera}'; found {list(self._cameras)}")
        return self._cameras[camera]

    def image(self, camera: str, row: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB.

        Raises:
            DatasetError: for an unknown camera or row, or an image that cannot be decoded.
        """
        images = self.images(camera)
        if not 0 <= row < len(images):
            raise DatasetError(f"{self.path}: {camera} has no row {row}; allowed: 0 to {len(images) - 1}")
        return self._guard(lambda: images.rgb(row), f"{camera} row {row}")

    def image_rows(self, camera: str) -> int:
        """How many images a camera has."""
        return len(self.images(camera))

    def depth(self, camera: str, row: int) -> np.ndarray:
        """These layouts hold none."""
        raise DatasetError(f"{self.path}: no depth camera '{camera}'; allowed: none, this layout holds no depth")

    def is_jpeg(self, camera: str) -> bool:
        """Whether images have to be decoded; whether they are JPEG, `jpeg` says row by row."""
        return self.images(camera).costly

    def jpeg(self, camera: str, row: int) -> bytes:
        """The file of a row's image, or b"" where it is stored in another form."""
        return self.images(camera).jpeg(row) or b""

    def jpeg_order(self, camera: str) -> JpegOrder:
        """These layouts hold ordinary JPEGs."""
        return "rgb"

    def _guard(self, read: Callable[[], np.ndarray], what: str) -> np.ndarray:
        try:
            return read()
        except DatasetError:
            raise
        except Exception as error:  # whatever a decoder stumbles over
            raise DatasetError(f"{self.path}: {what} cannot be read, it is damaged ({error})") from error

    def close(self) -> None:
        """Close files; images can no longer be read."""
        for images in self._cameras.values():
            images.close()

    def __enter__(self) -> StoredEpisode:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()


def decode_file(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a JPEG's or PNG's bytes.

    Raises:
        VgilError: where they do not decode.
    """
    return image_codec.decode(np.frombuffer(data, np.uint8), "rgb")


def _flat(values: np.ndarray | None) -> np.ndarray | None:
    """(T,) of one number a row, which some layouts keep as (T, 1)."""
    return None if values is None else values.reshape(len(values))
