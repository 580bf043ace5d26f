"""H.264 MP4s: images side by side, moment by moment, and an episode's cameras among them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader

USUAL_RATE = 50.0  # the peers' robots'; for layouts that store none
WIDEST = 1920  # pixels


class VideoWriter:
    """An H.264 MP4, moment by moment.

    Args:
        path: the file.
        rate_hz: moments a second.
        widest: pixels; what is wider is made smaller.

    Raises:
        VgilError: where PyAV is missing.
    """

    def __init__(self, path: Path, rate_hz: float, widest: int = WIDEST) -> None:
        try:
            import av
        except ImportError as error:
            raise VgilError("videos need PyAV: pip install 'vgil_ros[plot]'") from error
        self._frame, self._widest = av.VideoFrame.from_ndarray, widest
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})  # a browser plays it at once
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        self._stream.pix_fmt, self._stream.options = "yuv420p", {"crf": "23", "preset": "veryfast"}
        self._sizes: list[tuple[int, int]] = []  # width and height of each image; of the first moment, for all

    def add(self, images: Sequence[np.ndarray]) -> None:
        """Add one moment: images (H, W, 3) uint8 RGB, from left to right, brought to one height."""
        if not self._sizes:
            self._sizes = _sizes([image.shape for image in images], self._widest)
            self._stream.width, self._stream.height = sum(width for width, _ in self._sizes), self._sizes[0][1]
        resized = [
            cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            for image, size in zip(images, self._sizes, strict=True)
        ]
        joined = np.ascontiguousarray(np.hstack(resized), dtype=np.uint8)
        for packet in self._stream.encode(self._frame(joined, format="rgb24")):
            self._container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Finish the file."""
        if self._sizes:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


def write_video(
    episode: EpisodeReader, out: Path, *, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Path:
    """Write the colour cameras, in their order from left to right, at the episode's rate.

    Raises:
        VgilError: where PyAV is missing.
        EpisodeError: where there is no camera.
    """
    if not episode.camera_names or not episode.rows:
        raise EpisodeError(f"{episode.path}: has no images to make a video of")
    with VideoWriter(out, episode.rate_hz or USUAL_RATE) as writer:
        for row in progress(range(episode.rows)):
            writer.add([episode.image(name, row) for name in episode.camera_names])
    return out


def _sizes(shapes: Sequence[tuple[int, ...]], widest: int) -> list[tuple[int, int]]:
    """Return (width, height) for each image (H, W, 3): even, of one height, at most `widest` wide together."""
    height = max(shape[0] for shape in shapes)
    scale = min(1.0, widest / sum(shape[1] * height / shape[0] for shape in shapes))
    height = max(2, int(height * scale) // 2 * 2)
    return [(max(2, round(shape[1] * height / shape[0]) // 2 * 2), height) for shape in shapes]
