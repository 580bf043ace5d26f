"""Videos of rollouts, and one sheet of thumbnails that shows them all."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import Rollout

WIDEST = 1280  # pixels of a video
THUMB = (120, 160)  # pixels, height and width
THUMBS = 8  # images of a rollout on the sheet
CAPTION, GAP = 20, 3  # pixels
GOOD, BAD = (30, 140, 60), (180, 40, 40)


class VideoWriter:
    """An H.264 MP4, image by image.

    Raises:
        VgilError: where PyAV is missing.
    """

    def __init__(self, path: Path, rate_hz: float) -> None:
        try:
            import av
        except ImportError as error:
            raise VgilError("videos need PyAV: pip install 'vgil_ros[plot]'") from error
        self._frame = av.VideoFrame.from_ndarray
        self._container = av.open(str(path), "w", options={"movflags": "+faststart"})  # a browser plays it at once
        self._stream: Any = self._container.add_stream("libx264", rate=Fraction(rate_hz).limit_denominator(1000))
        self._stream.pix_fmt, self._stream.options = "yuv420p", {"crf": "23", "preset": "veryfast"}
        self._begun = False

    def add(self, images: list[np.ndarray]) -> None:
        """Add one moment: images (H, W, 3) uint8 RGB of equal heights, from left to right."""
        joined = np.hstack(images)
        scale = min(1.0, WIDEST / joined.shape[1])
        height, width = (int(size * scale) // 2 * 2 for size in joined.shape[:2])
        if not self._begun:
            self._stream.width, self._stream.height, self._begun = width, height, True
        resized: Any = cv2.resize(joined, (width, height), interpolation=cv2.INTER_AREA)
        for packet in self._stream.encode(self._frame(resized, format="rgb24")):
            self._container.mux(packet)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Finish the file."""
        if self._begun:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()


def thumbnails(images: list[np.ndarray]) -> list[np.ndarray]:
    """A few of a rollout's images (H, W, 3), evenly from its beginning to its end."""
    if not images:
        return []
    return [images[round(at)] for at in np.linspace(0, len(images) - 1, THUMBS).tolist()]


class ThumbnailSheet:
    """A row for each rollout: images from its beginning to its end, with seed, result and reward."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []

    def add(self, rollout: Rollout, images: list[np.ndarray]) -> None:
        """Add a rollout, of whose images (H, W, 3) uint8 RGB a few are chosen."""
        height, width = THUMB
        row = np.full((height + CAPTION, THUMBS * width, 3), 255, np.uint8)
        for place, image in enumerate(thumbnails(images)):
            small = cv2.resize(image, (width - GAP, height), interpolation=cv2.INTER_AREA)
            row[CAPTION:, place * width : (place + 1) * width - GAP] = small
        words = f"seed {rollout.seed}: {'success' if rollout.success else 'no success'}"
        words += f", highest reward {rollout.highest_reward:g}, return {rollout.ret:.0f}"
        colour = GOOD if rollout.success else BAD
        cv2.putText(row, words, (6, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
        self._rows.append(row)

    def save(self, path: Path) -> Path:
        """Write a PNG.

        Raises:
            VgilError: without a rollout, or where it cannot be written.
        """
        if not self._rows:
            raise VgilError("a thumbnail sheet needs at least one rollout; found none")
        if not cv2.imwrite(str(path), np.vstack(self._rows)[..., ::-1]):
            raise VgilError(f"{path}: cannot be written")
        return path
