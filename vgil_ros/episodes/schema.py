"""Our episode file on disk: its datasets, its attributes, and the appending of rows. No threads here.

Layout: design.md, "Episode file"; the peers' part of it: ALOHA's and Mobile ALOHA's (reference/episode_formats.md).
"""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dm_env
import h5py
import numpy as np

import vgil_ros
from vgil_ros.core.streams import Flag
from vgil_ros.episodes import h5
from vgil_ros.episodes.meta import CameraMeta, EpisodeMeta
from vgil_ros.episodes.reading.columns import TASKS

FORMAT = "vgil/1"
ROWS_A_CHUNK = 256
IMAGES, DEPTHS, FINAL = "observations/images", "observations/images_depth", "final_observation"
STAMPS = "sync/stamp_ns"
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class RowSchema:
    """One row, ready for the file.

    Attributes:
        values: the small arrays, by the path of their dataset (see `columns`).
        images: JPEG bytes or (H, W, 3) uint8, one for each camera of the meta.
        depths: (H, W) uint16 mm, one for each depth camera.
    """

    values: dict[str, Any]
    images: tuple[bytes | np.ndarray, ...]
    depths: tuple[np.ndarray, ...]


def columns(meta: EpisodeMeta) -> dict[str, tuple[tuple[int, ...], type]]:
    """Return the small datasets of an episode: path -> (shape of a row, type). `STAMPS` is last: it completes a row."""
    dim, streams = (meta.dim,), (len(meta.streams),)
    table: dict[str, tuple[tuple[int, ...], type]] = {"observations/qpos": (dim, np.float32)}
    if meta.has_velocity:
        table["observations/qvel"] = (dim, np.float32)
    if meta.has_effort:
        table["observations/effort"] = (dim, np.float32)
    for vector in meta.vectors:
        table[f"observations/{vector.name}"] = ((vector.size,), np.float64)
    if meta.has_base_velocity:
        table["observations/base_vel"] = ((2,), np.float32)
    if meta.has_base:
        table["base_action"] = ((2,), np.float32)
    table["action"] = (dim, np.float32)
    if meta.has_takeover:
        table |= {"intervention": ((), np.uint8), "actor": ((), np.uint8)}
        table |= {"policy_action": (dim, np.float32), "human_action": (dim, np.float32)}  # NaN where there is none
    table["timesteps/step_type"] = ((), np.uint8)
    table["timesteps/reward"] = ((), np.float32)  # NaN where the TimeStep has none
    table["timesteps/discount"] = ((), np.float32)
    if meta.streams:  # none in an episode converted from a layout that does not store them
        table["sync/skew_ns"] = (streams, np.int64)
        table["sync/flags"] = (streams, np.uint8)
        table["sync/arrival_ns"] = (streams, np.int64)  # 0 where nobody said
    table[STAMPS] = ((), np.int64)
    return table


def jpeg_chunk(camera: CameraMeta) -> int:
    """Bytes of a chunk of a JPEG dataset.

    A row's chunks beyond its JPEG are never written: padding costs no room and growing P rewrites nothing. What is
    lost is half a chunk a row, about a twelfth of a usual image, for some seven chunks each.
    """
    return int(np.clip(camera.height * camera.width // 64 // 256 * 256, 512, 32768))


class RowFile:
    """An episode file being filled row by row; memory does not grow with its length."""

    def __init__(self, path: Path, meta: EpisodeMeta) -> None:
        self.path, self.meta = path, meta
        self.rows = 0  # with their images in the file
        self.held = 0
        self._delays = np.full(len(meta.streams), NEVER)  # the shortest of each stream so far, ns
        self._columns = columns(meta)
        self._pending: list[RowSchema] = []
        self._widths = [0] * len(meta.cameras)
        self._compressed = any(camera.storage != "raw" for camera in meta.cameras)
        self._file = h5.create(path)
        _write_attributes(self._file, meta)
        self._make_datasets()
        self._file.swmr_mode = True  # from here on a killed process leaves a readable file

    def _make_datasets(self) -> None:
        for path, (shape, dtype) in self._columns.items():
            chunks, limit = (ROWS_A_CHUNK, *shape), (None, *shape)
            self._file.create_dataset(path, (0, *shape), dtype, maxshape=limit, chunks=chunks)
        images = self._file.require_group(IMAGES)
        self._images = [_make_images(images, camera) for camera in self.meta.cameras]
        self._depths: list[h5py.Dataset] = []
        if self.meta.depths:
            group = self._file.require_group(DEPTHS)
            for camera in self.meta.depths:
                size = (camera.height, camera.width)
                self._depths.append(
                    group.create_dataset(camera.name, (0, *size), np.uint16, maxshape=(None, *size), chunks=(1, *size))
                )
        if self._compressed:
            count = len(self.meta.cameras)
            self._file.create_dataset(
                "compress_len", (count, 0), np.float32, maxshape=(count, None), chunks=(count, ROWS_A_CHUNK)
            )

    def append(self, row: RowSchema) -> None:
        """Write a row's images; its small arrays follow at the next flush."""
        for i, image in enumerate(row.images):
            if isinstance(image, bytes):
                self._widths[i] = max(self._widths[i], len(image))
                self._images[i].id.set_extent((self.rows + 1, self._widths[i]))
                write_jpeg(self._images[i], self.rows, image)
            else:
                write_image(self._images[i], self.rows, image)
        for dataset, image in zip(self._depths, row.depths, strict=True):
            write_image(dataset, self.rows, image)
        if self.rows == 0:  # also where a row before it had to be left out
            row.values["timesteps/step_type"] = int(dm_env.StepType.FIRST)
        self.rows += 1
        self.held += bool(np.any(np.asarray(row.values.get("sync/flags", 0)) & Flag.HELD))
        if self.meta.streams:
            values, arrival = row.values, row.values["sync/arrival_ns"]
            delay = np.where(arrival > 0, arrival - values[STAMPS] - values["sync/skew_ns"], NEVER)
            self._delays = np.minimum(self._delays, delay)
        self._pending.append(row)

    @property
    def min_delay_ms(self) -> np.ndarray:
        """(S,) the shortest time from a used sample's stamp to its arrival; NaN where nothing is known of it."""
        return np.where(self._delays == NEVER, np.nan, self._delays / 1e6)

    def flush(self) -> None:
        """Bring everything so far into the file (not yet to the disk: that is fdatasync's)."""
        if self._pending:
            start, stop = self.rows - len(self._pending), self.rows
            if self._compressed:
                lengths = [[len(p) if isinstance(p, bytes) else 0 for p in row.images] for row in self._pending]
                dataset = self._file["compress_len"]
                dataset.resize(stop, axis=1)
                dataset[:, start:stop] = np.array(lengths, np.float32).T
            for path, (_, dtype) in self._columns.items():
                dataset = self._file[path]
                dataset.resize(stop, axis=0)
                dataset[start:stop] = np.array([row.values[path] for row in self._pending], dtype)
            self._pending.clear()
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def abandon(self) -> None:
        """Close without a word: the disk is full or the file is not wanted."""
        self._pending.clear()
        with contextlib.suppress(OSError, RuntimeError):  # a full disk; what reached it stays
            self._file.close()


def finish(
    path: Path,
    attributes: dict[str, Any],
    final: RowSchema | None,
    meta: EpisodeMeta,
    tasks: Sequence[tuple[int, str]] = (),
) -> None:
    """Add to a closed file what is known at its end: attributes, the last observation under FINAL, each row's task.

    Args:
        tasks: stamp_ns of the first row, and words, of each task that came after the first one, rising.
    """
    with h5.amend(path) as file:
        file.attrs.update(attributes)
        if tasks:
            begins = np.array([stamp for stamp, _ in tasks], np.int64)
            file[TASKS] = np.searchsorted(begins, file[STAMPS][()], side="right").astype(np.int32)
            file.attrs["tasks"] = h5.text_array([meta.task, *(words for _, words in tasks)])
        if final is None:
            return
        group = file.create_group(FINAL)
        for key in ("qpos", "qvel", "effort", "base_vel"):
            if (column := f"observations/{key}") in final.values:
                group[key] = np.asarray(final.values[column], np.float32)
        for name in meta.vector_names:
            group[name] = np.asarray(final.values[f"observations/{name}"], np.float64)
        for key in ("reward", "discount"):
            group.attrs[key] = np.float32(final.values[f"timesteps/{key}"])
        group.attrs["stamp_ns"] = np.int64(final.values[STAMPS])
        for camera, image in zip(meta.cameras, final.images, strict=True):
            data = np.frombuffer(image, np.uint8) if isinstance(image, bytes) else image
            _mark(group.create_dataset(f"images/{camera.name}", data=data), camera)
        for camera, image in zip(meta.depths, final.depths, strict=True):
            group[f"images_depth/{camera.name}"] = image


def write_jpeg(dataset: h5py.Dataset, row: int, data: bytes) -> None:
    """Write one JPEG into its row (the dataset is large enough), past HDF5's chunk cache."""
    width = dataset.chunks[1]
    for start in range(0, len(data), width):
        piece = data[start : start + width]
        dataset.id.write_direct_chunk((row, start), piece.ljust(width, b"\0"))


def write_image(dataset: h5py.Dataset, row: int, image: np.ndarray) -> None:
    """Write one raw image, a chunk of its own, after the rows before it."""
    dataset.id.set_extent((row + 1, *dataset.shape[1:]))
    dataset.id.write_direct_chunk((row,) + (0,) * image.ndim, np.ascontiguousarray(image, dataset.dtype))


def _make_images(group: h5py.Group, camera: CameraMeta) -> h5py.Dataset:
    if camera.storage == "raw":
        size = (camera.height, camera.width, 3)
        dataset = group.create_dataset(camera.name, (0, *size), np.uint8, maxshape=(None, *size), chunks=(1, *size))
    else:
        chunks = (1, jpeg_chunk(camera))
        dataset = group.create_dataset(camera.name, (0, 0), np.uint8, maxshape=(None, None), chunks=chunks)
    _mark(dataset, camera)
    return dataset


def _mark(dataset: h5py.Dataset, camera: CameraMeta) -> None:
    if camera.storage != "raw":
        dataset.attrs["jpeg_order"] = jpeg_order(camera)


def jpeg_order(camera: CameraMeta) -> str:
    """Return "bgr" for what is encoded here, "rgb" for a camera's own JPEG (see `images`)."""
    return "rgb" if camera.storage == "passthrough" else "bgr"


def _write_attributes(file: h5py.File, meta: EpisodeMeta) -> None:
    """Write the root attributes that are known from the start.

    `sim` is what ACT's reader asks for to know whether to shift actions by a row. Ours are sampled at one stamp with
    their observation (`action_alignment`), so no shift is right: `sim` is True on every robot.
    """
    orders = {jpeg_order(camera) for camera in meta.cameras if camera.storage != "raw"}
    file.attrs.update(
        {
            "format": FORMAT,
            "sim": True,
            "compress": bool(orders),
            "robot": meta.robot,
            "contract": meta.contract,
            "rate_hz": float(meta.rate_hz),
            "streams": h5.text_array(meta.streams),
            "camera_names": h5.text_array(meta.camera_names),
            "depth_names": h5.text_array(meta.depth_names),
            **({"vector_names": h5.text_array(meta.vector_names)} if meta.vectors else {}),
            "joint_names": h5.text_array(meta.joint_names),
            "color_order": "rgb",
            "action_alignment": "same_stamp",
            "task": meta.task,
            **meta.words,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "software": f"vgil_ros {vgil_ros.__version__}",
        }
    )
    if orders:
        file.attrs["jpeg_order"] = orders.pop() if len(orders) == 1 else "mixed"
