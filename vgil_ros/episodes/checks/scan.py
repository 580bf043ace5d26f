"""One pass over all images of an episode, for the checks that look at their bytes."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

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
        blank: (T,) whether a depth image is one value all over, as of a camera that sees nothing within reach.
        broken: rows whose JPEG has no proper start or end, or that cannot be read.
    """

    content: dict[str, np.ndarray] = field(default_factory=dict)
    lengths: dict[str, np.ndarray] = field(default_factory=dict)
    blank: dict[str, np.ndarray] = field(default_factory=dict)
    broken: dict[str, list[int]] = field(default_factory=dict)


def scan_images(episode: EpisodeReader, progress: Callable[[Iterable[int]], Iterable[int]] = iter) -> Scan:
    """Read every image once; memory holds one row at a time."""
    scan = Scan()
    colour, rows = episode.camera_names, episode.rows
    for name in (*colour, *episode.depth_names):
        scan.content[name], scan.broken[name] = np.zeros(rows, np.uint32), []
        if name not in colour:
            scan.blank[name] = np.zeros(rows, bool)
        if name in colour and episode.is_jpeg(name):
            scan.lengths[name] = np.zeros(rows, np.int64)
    for row in progress(range(rows)) if scan.content else ():
        for name in scan.content:
            try:
                _look(scan, episode, name, row, depth=name not in colour)
            except EpisodeError:
                scan.broken[name].append(row)
    return scan


def _look(scan: Scan, episode: EpisodeReader, name: str, row: int, *, depth: bool) -> None:
    if name not in scan.lengths:
        pixels = episode.depth(name, row) if depth else episode.image(name, row)
        scan.content[name][row] = zlib.crc32(pixels[::RAW_ROWS].tobytes())
        if depth:
            scan.blank[name][row] = pixels.size > 0 and bool((pixels == pixels.flat[0]).all())
        return
    data = episode.jpeg(name, row).tobytes().rstrip(b"\0")
    scan.content[name][row], scan.lengths[name][row] = zlib.crc32(data), len(data)
    if not (data.startswith(START) and data.endswith(END)):
        scan.broken[name].append(row)
