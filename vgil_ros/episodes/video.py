"""An episode's cameras side by side as an H.264 MP4."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader

USUAL_RATE = 50.0  # the peers' robots'; for layouts that store none
LARGEST = 1920  # pixels in width


def write_video(
    episode: EpisodeReader, out: Path, *, progress: Callable[[Iterable[int]], Iterable[int]] = iter
) -> Path:
    """Write the colour cameras, in their order from left to right, at the episode's rate.

    Raises:
        VgilError: where PyAV is missing.
        EpisodeError: where there is no camera.
    """
    try:
        import av
    except ImportError as error:
        raise VgilError("videos need PyAV: pip install 'vgil_ros[plot]'") from error
    if not episode.camera_names or not episode.rows:
        raise EpisodeError(f"{episode.path}: has no images to make a video of")
    rate = Fraction(episode.rate_hz or USUAL_RATE).limit_denominator(1000)
    height, widths = _sizes(episode)
    with av.open(str(out), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = sum(widths), height, "yuv420p"
        stream.options = {"crf": "23", "preset": "veryfast"}
        for row in progress(range(episode.rows)):
            image = _side_by_side(episode, row, height, widths)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return out


def _sizes(episode: EpisodeReader) -> tuple[int, list[int]]:
    """Return one height and a width for each camera, even, at most LARGEST wide together."""
    shapes = [episode.image(name, 0).shape for name in episode.camera_names]
    height = max(shape[0] for shape in shapes)
    scale = min(1.0, LARGEST / sum(shape[1] * height / shape[0] for shape in shapes))
    height = max(2, int(height * scale) // 2 * 2)
    return height, [max(2, round(shape[1] * height / shape[0]) // 2 * 2) for shape in shapes]


def _side_by_side(episode: EpisodeReader, row: int, height: int, widths: list[int]) -> np.ndarray:
    images = (episode.image(name, row) for name in episode.camera_names)
    resized = [cv2.resize(p, (w, height), interpolation=cv2.INTER_AREA) for p, w in zip(images, widths, strict=True)]
    return np.ascontiguousarray(np.hstack(resized))
