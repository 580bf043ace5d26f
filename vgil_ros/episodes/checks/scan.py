"""One pass over all images of an episode, for the checks that look at their bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from vgil_ros.episodes.checks.quick_check import END, START
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader

RAW_ROWS = 8  # a raw image is read on every eighth row of pixels: a living sensor's noise shows on any of them


@dataclass
class Scan:
    """What the pass saw, by camera.

    Attributes:
        content: (T,) checksum of each image.
        lengths: (T,) bytes of each JPEG without its padding; cameras with JPEG alone.
        broken: rows whose JPEG has no proper start or end, or that cannot be read.
        reasons: why the first row of them cannot be read, where reading itself failed.
    """

    content: dict[str, np.ndarray] = field(default_factory=dict)
    lengths: dict[str, np.ndarray] = field(default_factory=dict)
    broken: dict[str, list[int]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def scan_images(episode: EpisodeReader, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> Scan:
    """Read every image once; memory holds one row at a time."""
    scan = Scan()
    rows = episode.rows
    looks: dict[str, Callable[[int], None]] = {}
    for name, depth in [(n, False) for n in episode.camera_names] + [(n, True) for n in episode.depth_names]:
        if episode.place(name, depth=depth) in episode.unusable:
            continue  # the images' check names it
        key = f"{name} (depth)" if depth and name in episode.camera_names else name
        scan.content[key], scan.broken[key] = np.zeros(rows, np.uint32), []
        if not depth and episode.is_jpeg(name):
            scan.lengths[key] = np.zeros(rows, np.int64)
            looks[key] = partial(_look_at_jpeg, scan, episode, name)
        else:
            looks[key] = partial(_look_at_pixels, scan, episode.depth if depth else episode.image, name, key)
    for row in progress(range(rows)) if looks else ():
        for key, look in looks.items():
            try:
                look(row)
            except EpisodeError as error:
                scan.broken[key].append(row)
                scan.reasons.setdefault(key, str(error).removeprefix(f"{episode.path}: "))
    return scan


def _look_at_pixels(scan: Scan, read: Callable[[str, int], np.ndarray], name: str, key: str, row: int) -> None:
    scan.content[key][row] = zlib.crc32(read(name, row)[::RAW_ROWS].tobytes())


def _look_at_jpeg(scan: Scan, episode: EpisodeReader, name: str, row: int) -> None:
    data = episode.jpeg(name, row)
    scan.content[name][row], scan.lengths[name][row] = zlib.crc32(data), len(data)
    if not (data.startswith(START) and data.endswith(END)):
        scan.broken[name].append(row)
