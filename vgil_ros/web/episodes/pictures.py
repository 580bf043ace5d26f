"""Pictures out of episode files, as a browser shows them: JPEGs as they are stored where their colours are right.

A file whose `jpeg_order` is "bgr" holds JPEGs whose red and blue are swapped (see `episodes.image_codec`): they are
decoded and encoded anew, as raw rows are encoded.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import JPEG_START, file_size
from vgil_ros.episodes import image_codec
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.web.episodes.listing import State

OPEN, THUMBNAILS = 6, 4000  # files kept open; small pictures kept, some 4 kB each
THUMB_WIDTH, TILE, QUALITY = 160, (240, 320), 85  # px; of a tile (height, width)
FAR_MM = 2000.0  # a depth picture is red here and beyond


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's bytes and their media type."""

    data: bytes
    media: str = "image/jpeg"


@dataclass(eq=False)
class _Open:
    """A file that is kept open, for one thread at a time."""

    state: State
    reader: EpisodeReader
    lock: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False

    def close(self) -> None:
        with self.lock:
            self.closed = True
            self.reader.close()


class Pictures:
    """Reads pictures; called in threads. Files that changed are opened anew."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, _Open] = OrderedDict()
        self._thumbs: OrderedDict[tuple[Path, State], Picture] = OrderedDict()

    def frame(self, path: Path, camera: str, row: int, *, depth: bool = False) -> Picture:
        """One row of one camera.

        Raises:
            EpisodeError: for an unknown camera or row, or a picture that cannot be read.
        """
        with naming_file(path):
            with self._reading(path) as episode:
                if depth:
                    return _encoded(_of_depth(episode.depth(camera, row)))
                stored = episode.jpeg(camera, row) if episode.is_jpeg(camera) else None
                pixels = episode.image(camera, row) if stored is None else None
                order = episode.jpeg_order(camera) if stored is not None else "rgb"
            if stored is None:
                assert pixels is not None
                return _encoded(pixels)
            if not stored.startswith(JPEG_START):
                return Picture(stored, "image/png")
            if order == "rgb":
                return Picture(stored)
            return _encoded(image_codec.decode(np.frombuffer(stored, np.uint8), order))

    def together(self, path: Path, row: int) -> Picture:
        """One row of all cameras that can be shown, then of all depths: tiles of `TILE` by the grid of `grid_of`.

        For looking at many rows a second: one answer, one decoding and one drawing for all of them. A picture that
        cannot be read is a grey tile.

        Raises:
            EpisodeError: for an unknown row, or a file that cannot be read.
        """
        with naming_file(path), self._reading(path) as episode:
            if not 0 <= row < episode.rows:
                raise EpisodeError(f"{path}: found row {row}; allowed: 0 to {episode.rows - 1}")
            colours, depths = shown_cameras(episode)
            across, down = grid_of(len(colours) + len(depths))
            high, wide = TILE
            sheet = np.full((down * high, across * wide, 3), 128, np.uint8)
            reads = [partial(_small, episode, name) for name in colours]
            reads += [partial(_small_depth, episode, name) for name in depths]
            for i, read in enumerate(reads):
                with contextlib.suppress(VgilError):
                    top, left = i // across * high, i % across * wide
                    tile = sheet[top : top + high, left : left + wide]
                    tile[:] = cv2.resize(read(row), (wide, high), interpolation=cv2.INTER_AREA)
        return _encoded(sheet, 75)

    def thumbnail(self, path: Path) -> Picture:
        """The middle row of the first camera, small.

        Raises:
            EpisodeError: where the file has no picture, or it cannot be read.
        """
        with naming_file(path):
            key = (path, state_of(path))
            with self._lock:
                if (known := self._thumbs.get(key)) is not None:
                    self._thumbs.move_to_end(key)
                    return known
            with EpisodeReader(path) as episode:  # not kept open: a list shows hundreds
                pixels = _middle(episode)
            height = max(1, round(THUMB_WIDTH * pixels.shape[0] / pixels.shape[1]))
            made = _encoded(cv2.resize(pixels, (THUMB_WIDTH, height), interpolation=cv2.INTER_AREA), 75)
            with self._lock:
                self._thumbs[key] = made
                while len(self._thumbs) > THUMBNAILS:
                    self._thumbs.popitem(last=False)
            return made

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            kept, self._open = list(self._open.values()), OrderedDict()
        for one in kept:
            one.close()

    @contextlib.contextmanager
    def _reading(self, path: Path) -> Iterator[EpisodeReader]:
        while True:
            one = self._opened(path)
            with one.lock:
                if not one.closed:  # another thread may have closed it to make room
                    yield one.reader
                    return

    def _opened(self, path: Path) -> _Open:
        state = state_of(path)
        old: list[_Open] = []
        with self._lock:
            one = self._open.get(path)
            if one is None or one.state != state:
                if one is not None:
                    old.append(one)
                one = self._open[path] = _Open(state, EpisodeReader(path))
            self._open.move_to_end(path)
            while len(self._open) > OPEN:
                old.append(self._open.popitem(last=False)[1])
        for other in old:
            other.close()
        return one


def state_of(path: Path) -> State:
    """What changes with a file.

    Raises:
        EpisodeError: where it is gone.
    """
    try:
        found = os.stat(path)
    except OSError as error:
        raise EpisodeError(f"{path}: no such file") from error
    return found.st_ino, found.st_mtime_ns, found.st_size


def _middle(episode: EpisodeReader) -> np.ndarray:
    """(H, W, 3) RGB of the middle row of the first camera that can be read."""
    row = max(0, episode.rows // 2)
    for name in episode.camera_names:
        if episode.place(name) not in episode.unusable:
            return episode.image(name, row)
    for name in episode.depth_names:
        return _of_depth(episode.depth(name, row))
    raise EpisodeError(f"{episode.path}: has no picture that can be read; needed: one camera at least")


def _of_depth(depth_mm: np.ndarray) -> np.ndarray:
    """(H, W, 3) RGB of a depth picture (H, W) uint16 mm: near is blue, far is red, unknown is black."""
    grey = np.clip(depth_mm.astype(np.float32) * (255.0 / FAR_MM), 0, 255).astype(np.uint8)
    colours: np.ndarray = cv2.cvtColor(cv2.applyColorMap(grey, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    colours[depth_mm == 0] = 0
    return colours


def shown_cameras(episode: EpisodeReader) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cameras and depths that a page shows, in their order."""
    colours = tuple(n for n in episode.camera_names if episode.place(n) not in episode.unusable)
    depths = tuple(n for n in episode.depth_names if episode.place(n, depth=True) not in episode.unusable)
    return colours, depths


def grid_of(count: int) -> tuple[int, int]:
    """(across, down): how so many pictures stand together."""
    across = 1 if count <= 1 else 2 if count <= 4 else 3
    return across, max(1, math.ceil(count / across))


def _small(episode: EpisodeReader, camera: str, row: int) -> np.ndarray:
    """(H, W, 3) RGB, no smaller than a tile where the picture is not."""
    stored = episode.jpeg(camera, row) if episode.is_jpeg(camera) else None
    if stored is None:
        return episode.image(camera, row)
    times = file_size(stored)[1] // TILE[1]
    data = np.frombuffer(stored, np.uint8)
    return image_codec.decode(data, episode.jpeg_order(camera), 4 if times >= 4 else 2 if times >= 2 else 1)


def _small_depth(episode: EpisodeReader, camera: str, row: int) -> np.ndarray:
    return _of_depth(episode.depth(camera, row))


def _encoded(rgb: np.ndarray, quality: int = QUALITY) -> Picture:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise EpisodeError(f"a picture of shape {rgb.shape} could not be encoded as JPEG")
    return Picture(data.tobytes())
