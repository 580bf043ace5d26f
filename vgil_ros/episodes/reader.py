"""Reading an episode of any layout: plain arrays, images row by row, and dm_env TimeSteps."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import dm_env
import h5py
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes import h5, image_codec, layouts
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.layouts import Alignment, Layout
from vgil_ros.episodes.timesteps import timesteps_of

IMAGES, DEPTHS, FINAL = "observations/images", "observations/images_depth", "final_observation"


class EpisodeReader:
    """An open episode. Images are read and decoded when asked for; what a file lacks is None, never zeros.

    Attributes:
        path: the file.
        layout: one of `layouts.LAYOUTS`.
        camera_names, depth_names: in the order of the file's writer as far as it is known.
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
        self.file = h5.open_episode(self.path, unfinished=unfinished)
        try:
            self._open(layout)
        except BaseException:
            self.file.close()
            raise

    def _open(self, layout: Layout | None) -> None:
        missing = [name for name in ("observations/qpos", "action") if not self._has(name)]
        if missing:
            raise EpisodeError(f"{self.path}: lacks {missing}; found {self._guard(list, 'its root', self.file)}")
        self.layout: Layout = layout or self._guard(layouts.detect, "layout", self.file)
        self.attrs: dict[str, Any] = self._guard(lambda: dict(self.file.attrs), "attributes")
        self.camera_names: tuple[str, ...] = layouts.camera_order(self.file)
        depths = list(self.file.get(DEPTHS, {}))
        stated = [str(name) for name in self.attrs.get("depth_names", ())]
        order = stated if sorted(stated) == sorted(depths) else sorted(depths)
        self.depth_names: tuple[str, ...] = tuple(order)
        self.rows = min(len(self.file["action"]), len(self.file["observations/qpos"]))
        self.action_alignment: Alignment = layouts.alignment(self.layout, self.file)

    # ---- small arrays, (T, ...) each

    @cached_property
    def qpos(self) -> np.ndarray:
        """(T, D), rad; grippers as the layout has them."""
        return self._array("observations/qpos")

    @cached_property
    def qvel(self) -> np.ndarray | None:
        """(T, D), rad/s."""
        return self._maybe("observations/qvel")

    @cached_property
    def effort(self) -> np.ndarray | None:
        """(T, D)."""
        return self._maybe("observations/effort")

    @cached_property
    def action(self) -> np.ndarray:
        """(T, D), as stored; see `aligned_action`."""
        return self._array("action")

    @cached_property
    def base_action(self) -> np.ndarray | None:
        """(T, 2), m/s and rad/s."""
        return self._maybe("base_action")

    @cached_property
    def base_vel(self) -> np.ndarray | None:
        """(T, 2), the measured velocity: m/s and rad/s."""
        return self._maybe("observations/base_vel")

    @cached_property
    def stamp_ns(self) -> np.ndarray | None:
        """(T,) int64."""
        return self._maybe("sync/stamp_ns")

    @cached_property
    def skew_ns(self) -> np.ndarray | None:
        """(T, S) int64, by `streams`."""
        return self._maybe("sync/skew_ns")

    @cached_property
    def flags(self) -> np.ndarray | None:
        """(T, S) uint8, `core.streams.Flag`."""
        return self._maybe("sync/flags")

    @cached_property
    def arrival_ns(self) -> np.ndarray | None:
        """(T, S) int64, when the used samples arrived, interpolated as the values are; 0 where nobody said."""
        return self._maybe("sync/arrival_ns")

    @cached_property
    def compress_len(self) -> np.ndarray | None:
        """(cameras, T), bytes of each JPEG; rows in the order of the writer."""
        return self._maybe("compress_len")

    def aligned_action(self) -> np.ndarray:
        """(T, D): row t is what the layout's own trainer pairs with observation t (see `layouts.aligned`)."""
        return layouts.aligned(self.action, self.action_alignment)

    # ---- what the file says of itself

    @property
    def rate_hz(self) -> float | None:
        """Ticks a second, or None where the layout does not store it."""
        return float(self.attrs["rate_hz"]) if "rate_hz" in self.attrs else None

    @property
    def robot(self) -> str | None:
        """The contract's name."""
        return self.attrs.get("robot")

    @property
    def task(self) -> str | None:
        """What is shown."""
        return self.attrs.get("task")

    @property
    def success(self) -> bool | None:
        """Whether it succeeded, or None where nobody said."""
        return bool(self.attrs["success"]) if "success" in self.attrs else None

    @property
    def streams(self) -> tuple[str, ...]:
        """Columns of `skew_ns` and `flags`."""
        return tuple(map(str, self.attrs.get("streams", ())))

    @property
    def joint_names(self) -> tuple[str, ...] | None:
        """Columns of qpos and action."""
        return tuple(map(str, self.attrs["joint_names"])) if "joint_names" in self.attrs else None

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
        dataset = self._image(IMAGES, camera, self.camera_names, row)
        what = f"{camera} row {row}"
        return self._decode(self._guard(dataset.__getitem__, what, row), dataset, what)

    def depth(self, camera: str, row: int) -> np.ndarray:
        """Return a depth image (H, W) uint16 mm."""
        dataset = self._image(DEPTHS, camera, self.depth_names, row)
        result: np.ndarray = self._guard(dataset.__getitem__, f"{camera} row {row}", row)
        return result

    def final_image(self, camera: str) -> np.ndarray:
        """Return the image (H, W, 3) uint8 RGB after the last action, where it is stored."""
        name = f"{FINAL}/images/{camera}"
        if not self._has(name):
            raise EpisodeError(f"{self.path}: has no final image of '{camera}'")
        return self._decode(self._array(name), self.file[name], name)

    def is_jpeg(self, camera: str) -> bool:
        """Whether a camera's images are stored as JPEG."""
        result: bool = self.file[f"{IMAGES}/{camera}"].ndim == 2
        return result

    def jpeg(self, camera: str, row: int) -> np.ndarray:
        """Return a JPEG as stored, (P,) uint8 with its padding."""
        dataset = self._image(IMAGES, camera, self.camera_names, row)
        result: np.ndarray = self._guard(dataset.__getitem__, f"{camera} row {row}", row)
        return result

    def jpeg_order(self, camera: str) -> image_codec.JpegOrder:
        """Return the order in which a camera's JPEGs decode: the dataset's word, the file's, or the peers' habit."""
        return self._order(self.file[f"{IMAGES}/{camera}"])

    def _order(self, dataset: h5py.Dataset) -> image_codec.JpegOrder:
        for attrs in (dataset.attrs, self.attrs):
            if (order := attrs.get("jpeg_order")) in ("bgr", "rgb"):
                result: image_codec.JpegOrder = order
                return result
        return "bgr"

    def _image(self, group: str, camera: str, names: tuple[str, ...], row: int) -> h5py.Dataset:
        if camera not in names:
            raise EpisodeError(f"{self.path}: no camera '{camera}'; found {list(names)}")
        dataset = self.file[f"{group}/{camera}"]
        if not 0 <= row < len(dataset):
            raise EpisodeError(f"{self.path}: {camera} has no row {row}; allowed: 0 to {len(dataset) - 1}")
        return dataset

    def _decode(self, data: np.ndarray, dataset: h5py.Dataset, what: str) -> np.ndarray:
        if data.ndim != 1:
            return data
        try:
            return image_codec.decode(data, self._order(dataset))
        except VgilError as error:
            raise EpisodeError(f"{self.path}: {what}: {error}") from error

    # ---- TimeSteps

    def timesteps(self) -> list[dm_env.TimeStep]:
        """Return the TimeSteps; see `timesteps.timesteps_of`."""
        return timesteps_of(self)

    # ---- plumbing

    def _has(self, name: str) -> bool:
        return isinstance(self._guard(self.file.get, name, name), h5py.Dataset)

    def _maybe(self, name: str) -> np.ndarray | None:
        return self._array(name) if self._has(name) else None

    def _array(self, name: str) -> np.ndarray:
        result: np.ndarray = self._guard(lambda: self.file[name][()], name)
        return result

    def _guard(self, read: Callable[..., Any], what: str, *arguments: Any) -> Any:
        """Run a read; whatever HDF5 stumbles over names the file and the place."""
        try:
            return read(*arguments)
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise EpisodeError(f"{self.path}: {what} cannot be read, the file is damaged there ({error})") from error

    def close(self) -> None:
        """Close the file; lazily decoded images can no longer be read."""
        self.file.close()

    def __enter__(self) -> EpisodeReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
