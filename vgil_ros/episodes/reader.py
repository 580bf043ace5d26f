"""Reading an episode of any layout: plain arrays, images row by row, and dm_env TimeSteps."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import dm_env
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import JPEG_START
from vgil_ros.episodes import h5, image_codec, layouts
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.layouts import Alignment, Layout
from vgil_ros.episodes.reading.attributes import read_attributes
from vgil_ros.episodes.reading.cameras import find_cameras
from vgil_ros.episodes.reading.columns import COLUMNS, TASKS, check_column, find_vectors
from vgil_ros.episodes.reading.images import jpeg_bytes
from vgil_ros.episodes.timesteps import timesteps_of

FINAL = "final_observation"


class EpisodeReader:
    """An open episode. Images are read and decoded when asked for; what a file lacks is None, never zeros.

    Attributes:
        path: the file.
        layout: one of `layouts.LAYOUTS`.
        vector_names: further vectors, in the order of the file's writer.
        camera_names, depth_names: in the order of the file's writer as far as it is known.
        unusable: places of images (see `place`) that cannot be read, and why.
        structure: what is in the file.
        rows: T.
    """

    def __init__(self, path: Path | str, *, layout: Layout | None = None, unfinished: bool = False) -> None:
        """Open a file.

        Args:
            path: the file.
            layout: its layout, where the caller knows better than `layouts.detect`.
            unfinished: also open what a killed writer left (see `repair`).

        Raises:
            EpisodeError: where it is missing, cut, not HDF5, or lacks qpos or action; with file and reason.
        """
        self.path = Path(path)
        if layout is not None and layout not in layouts.LAYOUTS:
            raise EpisodeError(f"layout is '{layout}'; allowed: {list(layouts.LAYOUTS)}")
        self.file, self.structure = h5.open_surveyed(self.path, unfinished=unfinished)
        try:
            with naming_file(self.path):
                self._open(layout)
        except BaseException:
            self.file.close()
            raise

    def _open(self, layout: Layout | None) -> None:
        datasets = self.structure.datasets
        for name, why in self.structure.broken.items():
            raise EpisodeError(f"{self.path}: {name}: {why}")
        missing = [name for name in ("observations/qpos", "action") if name not in datasets]
        if missing:
            raise EpisodeError(f"{self.path}: lacks {missing}; found {list(self.structure.children(''))}")
        for name in sorted(COLUMNS.keys() & datasets.keys()):
            check_column(self.path, name, datasets[name])
            if reason := self.structure.disbelief(name):
                raise EpisodeError(f"{self.path}: {name} {reason}")
        self.attrs: dict[str, Any] = read_attributes(self.file, self.path)
        self.vector_names = find_vectors(self.structure, self.attrs, self.path)
        for name in ("sync/skew_ns", "sync/flags", "sync/arrival_ns"):
            if name in datasets and datasets[name].shape[1] != len(self.streams):
                found = f"has {datasets[name].shape[1]} columns; the attribute streams names {len(self.streams)}"
                raise EpisodeError(f"{self.path}: {name} {found}")
        self.layout: Layout = layout or layouts.detect(self.structure, self.attrs)
        self._cameras = find_cameras(self.structure, self.path)
        self._vectors: dict[str, np.ndarray] = {}
        self._orders: dict[str, image_codec.JpegOrder] = {}
        self.unusable = self._cameras.unusable
        self.camera_names = layouts.camera_order(self._cameras.colours, self.attrs.get("camera_names", ()))
        self.depth_names = layouts.camera_order(self._cameras.depths, self.attrs.get("depth_names", ()))
        self.rows = min(datasets["action"].shape[0], datasets["observations/qpos"].shape[0])
        self.action_alignment: Alignment = layouts.alignment(self.layout, self.attrs)

    def place(self, camera: str, *, depth: bool = False) -> str:
        """Return the path of a camera's images.

        Raises:
            EpisodeError: for an unknown camera.
        """
        places = self._cameras.depths if depth else self._cameras.colours
        if camera not in places:
            raise EpisodeError(f"{self.path}: no camera '{camera}'; found {list(places)}")
        return places[camera]

    # ---- small arrays, (T, ...) each

    @cached_property
    def qpos(self) -> np.ndarray:
        """(T, D), rad; grippers as the layout has them."""
        return self._array("observations/qpos")

    @cached_property
    def qvel(self) -> np.ndarray | None:
        """(T, D), rad/s."""
        return self.dataset("observations/qvel")

    @cached_property
    def effort(self) -> np.ndarray | None:
        """(T, D)."""
        return self.dataset("observations/effort")

    @cached_property
    def action(self) -> np.ndarray:
        """(T, D), as stored; see `aligned_action`."""
        return self._array("action")

    @cached_property
    def base_action(self) -> np.ndarray | None:
        """(T, 2), m/s and rad/s."""
        return self.dataset("base_action")

    @cached_property
    def base_vel(self) -> np.ndarray | None:
        """(T, 2), the measured velocity: m/s and rad/s."""
        return self.dataset("observations/base_vel")

    @cached_property
    def intervention(self) -> np.ndarray | None:
        """(T,) uint8: 1 where a human led, of a rollout that one could take over."""
        return self.dataset("intervention")

    @cached_property
    def actor(self) -> np.ndarray | None:
        """(T,) uint8, `core.control.takeover.Actor`."""
        return self.dataset("actor")

    @cached_property
    def policy_action(self) -> np.ndarray | None:
        """(T, D) what the policy wanted, executed or not; NaN where it had no action."""
        return self.dataset("policy_action")

    @cached_property
    def human_action(self) -> np.ndarray | None:
        """(T, D) where the masters were, executed or not; NaN where none was heard."""
        return self.dataset("human_action")

    def vector(self, name: str) -> np.ndarray:
        """Return a further vector, (T, n) float64; `vector_names` has their names.

        Raises:
            EpisodeError: for one that the episode has not.
        """
        if name not in self.vector_names:
            raise EpisodeError(f"{self.path}: no vector '{name}'; allowed: {list(self.vector_names)}")
        if name not in self._vectors:
            self._vectors[name] = self._array(f"observations/{name}").astype(np.float64, copy=False)
        return self._vectors[name]

    @cached_property
    def stamp_ns(self) -> np.ndarray | None:
        """(T,) int64."""
        return self.dataset("sync/stamp_ns")

    @cached_property
    def skew_ns(self) -> np.ndarray | None:
        """(T, S) int64, by `streams`."""
        return self.dataset("sync/skew_ns")

    @cached_property
    def flags(self) -> np.ndarray | None:
        """(T, S) uint8, `core.streams.Flag`."""
        return self.dataset("sync/flags")

    @cached_property
    def arrival_ns(self) -> np.ndarray | None:
        """(T, S) int64, when the used samples arrived, interpolated as the values are; 0 where nobody said."""
        return self.dataset("sync/arrival_ns")

    @cached_property
    def compress_len(self) -> np.ndarray | None:
        """(cameras, T), bytes of each JPEG; rows in the order of the writer."""
        return self.dataset("compress_len")

    def aligned_action(self) -> np.ndarray:
        """(T, D): row t is what the layout's own trainer pairs with observation t (see `layouts.aligned`)."""
        return layouts.aligned(self.action, self.action_alignment)

    def aligned_base_action(self) -> np.ndarray | None:
        """(T, 2), in rows as `aligned_action`; None where the robot has no base."""
        return None if self.base_action is None else layouts.aligned(self.base_action, self.action_alignment)

    # ---- what the file says of itself

    @property
    def rate_hz(self) -> float | None:
        """Ticks a second, or None where the layout does not store it."""
        return self.attrs.get("rate_hz")

    @property
    def robot(self) -> str | None:
        """The contract's name."""
        return self.attrs.get("robot")

    @property
    def task(self) -> str | None:
        """What is shown."""
        return self.attrs.get("task")

    def row_tasks(self) -> tuple[str, ...]:
        """(T,) what was done in each row: `task` in all of them, where nobody gave another one meanwhile.

        Raises:
            EpisodeError: the rows name tasks that the file does not tell.
        """
        index, tasks = self.dataset(TASKS), self.attrs.get("tasks", ())
        if index is None:
            return (self.task or "",) * self.rows
        if len(index) < self.rows or index.min(initial=0) < 0 or index.max(initial=0) >= len(tasks):
            raise EpisodeError(
                f"{self.path}: {TASKS} has {len(index)} rows, {len(tasks)} tasks; needed: one for each row"
            )
        return tuple(tasks[i] for i in index[: self.rows])

    @property
    def success(self) -> bool | None:
        """Whether it succeeded, or None where nobody said."""
        return self.attrs.get("success")

    @property
    def aborted(self) -> str | None:
        """Why it was not recorded to its end, or None where it was."""
        return str(self.attrs["aborted"]) if "aborted" in self.attrs else None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What its recorder warned of."""
        return tuple(map(str, np.atleast_1d(self.attrs.get("warnings", ()))))

    @property
    def streams(self) -> tuple[str, ...]:
        """Columns of `skew_ns` and `flags`."""
        result: tuple[str, ...] = self.attrs.get("streams", ())
        return result

    @property
    def joint_names(self) -> tuple[str, ...] | None:
        """Columns of qpos and action."""
        return self.attrs.get("joint_names")

    @property
    def seconds(self) -> float | None:
        """Length in time, where the rate is known."""
        return self.rows / self.rate_hz if self.rate_hz else None

    # ---- images

    def image(self, camera: str, row: int) -> np.ndarray:
        """Return an image (H, W, 3) uint8 RGB.

        Raises:
            EpisodeError: for an unknown camera or row, or an image that cannot be read or decoded.
        """
        place, value = self._row(camera, row)
        if self._cameras.forms[place] == "raw":
            result: np.ndarray = value
            return result
        return self._decode(value, place, f"{camera} row {row}")

    def depth(self, camera: str, row: int) -> np.ndarray:
        """Return a depth image (H, W) uint16 mm. Raises as `image`."""
        _, value = self._row(camera, row, depth=True)
        result: np.ndarray = value.reshape(value.shape[:2])
        return result

    def final_image(self, camera: str) -> np.ndarray:
        """Return the image (H, W, 3) uint8 RGB after the last action, where it is stored."""
        name = f"{FINAL}/images/{camera}"
        stored = self.structure.datasets.get(name)
        if stored is None:
            raise EpisodeError(f"{self.path}: has no final image of '{camera}'")
        if stored.dtype != np.uint8 or not (len(stored.shape) == 1 or stored.shape[2:] == (3,)):
            raise EpisodeError(f"{self.path}: {name} is {stored}; allowed: (H, W, 3) uint8, or a JPEG as (P,) uint8")
        value = self._array(name)
        return value if value.ndim == 3 else self._decode(value, name, name)

    def image_rows(self, camera: str) -> int:
        """How many images a camera has: T in a whole file."""
        count: int = self.structure.datasets[self.place(camera)].shape[0]
        return count

    def is_jpeg(self, camera: str) -> bool:
        """Whether a camera's images are stored as JPEG.

        Raises:
            EpisodeError: where they are stored in a form that is not read.
        """
        place = self.place(camera)
        self._usable(place)
        return self._cameras.forms[place] == "jpeg"

    def jpeg(self, camera: str, row: int) -> bytes:
        """Return a JPEG as stored, without its padding. Raises as `image`."""
        _, value = self._row(camera, row)
        with self._naming(f"{camera} row {row}"):
            return jpeg_bytes(value)

    def jpeg_order(self, camera: str) -> image_codec.JpegOrder:
        """Return the order in which a camera's JPEGs decode: the dataset's word, the file's, or the peers' habit."""
        return self._order(self.place(camera))

    def stated_order(self, camera: str) -> Any:
        """Return the file's word on the order of colours in a camera's JPEGs, be it right or wrong, or None."""
        return self._stated(self.place(camera))

    def _stated(self, place: str) -> Any:
        own = read_attributes(self.file[place], self.path)
        return own.get("jpeg_order", self.attrs.get("jpeg_order"))

    def _order(self, place: str) -> image_codec.JpegOrder:
        if place not in self._orders:
            self._orders[place] = "rgb" if self._stated(place) == "rgb" else "bgr"
        return self._orders[place]

    def _usable(self, place: str) -> None:
        if place in self.unusable:
            raise EpisodeError(f"{self.path}: {place} {self.unusable[place]}")

    def _row(self, camera: str, row: int, *, depth: bool = False) -> tuple[str, Any]:
        place = self.place(camera, depth=depth)
        self._usable(place)
        count = self.structure.datasets[place].shape[0]
        if not 0 <= row < count:
            raise EpisodeError(f"{self.path}: {camera} has no row {row}; allowed: 0 to {count - 1}")
        return place, self._guard(lambda: self.file[place][row], f"{camera} row {row}")

    def _decode(self, value: Any, path: str, what: str) -> np.ndarray:
        with self._naming(what):
            padded = isinstance(value, np.ndarray) and value.dtype == np.uint8 and value[:2].tobytes() == JPEG_START
            data = value if padded else np.frombuffer(jpeg_bytes(value), np.uint8)
            return image_codec.decode(data, self._order(path))

    # ---- TimeSteps

    def timesteps(self) -> list[dm_env.TimeStep]:
        """Return the TimeSteps; see `timesteps.timesteps_of`."""
        with naming_file(self.path):
            return timesteps_of(self)

    # ---- plumbing

    def dataset(self, name: str) -> np.ndarray | None:
        """Return a small dataset by its path, or None where the file has none.

        Raises:
            EpisodeError: where it cannot be read, or claims more than the file can hold.
        """
        return self._array(name) if name in self.structure.datasets else None

    def _array(self, name: str) -> np.ndarray:
        if reason := self.structure.disbelief(name):
            raise EpisodeError(f"{self.path}: {name} {reason}")
        result: np.ndarray = self._guard(lambda: self.file[name][()], name)
        return result

    def _guard(self, read: Callable[[], Any], what: str) -> Any:
        """Run a read; whatever HDF5 stumbles over names the file and the place."""
        try:
            return read()
        except Exception as error:
            raise EpisodeError(f"{self.path}: {what} cannot be read, the file is damaged there ({error})") from error

    @contextlib.contextmanager
    def _naming(self, what: str) -> Iterator[None]:
        try:
            yield
        except VgilError as error:
            raise EpisodeError(f"{self.path}: {what}: {error}") from error

    def close(self) -> None:
        """Close the file; lazily decoded images can no longer be read."""
        self.file.close()

    def __enter__(self) -> EpisodeReader:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()
