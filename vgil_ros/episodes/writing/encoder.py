"""Encoding in worker threads. OpenCV lets go of the interpreter's lock while it encodes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from vgil_ros.core.frame import Frame
from vgil_ros.episodes import image_codec
from vgil_ros.episodes.meta import CameraMeta

Image = Frame | np.ndarray


def limit_opencv_threads() -> None:
    """Let OpenCV start no threads of its own in this process: beside the encoder's they only wait, at full speed.

    For a program's main function.
    """
    cv2.setNumThreads(1)


class Encoder:
    """Turns a row's images into what the file takes, in order, in the background.

    A camera slower than the tick repeats its frame; the same Frame object is encoded once.
    """

    def __init__(self, cameras: tuple[CameraMeta, ...], quality: int, threads: int) -> None:
        self._cameras, self._quality = cameras, quality
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._last: list[tuple[Image, Future[bytes | np.ndarray]] | None] = [None] * len(cameras)

    def submit(self, row: list[Image]) -> tuple[Future[bytes | np.ndarray], ...]:
        """Start on a row, one image for each camera; the futures give `bytes` (JPEG) or arrays."""
        return tuple(self._one(i, image) for i, image in enumerate(row))

    def _one(self, index: int, image: Image) -> Future[bytes | np.ndarray]:
        last = self._last[index]
        if last is not None and last[0] is image and isinstance(image, Frame):
            return last[1]
        future = self._pool.submit(_work, image, self._cameras[index], self._quality)
        self._last[index] = (image, future)
        return future

    def close(self) -> None:
        """End the threads once their work is done."""
        self._pool.shutdown(wait=True)


def _work(image: Image, camera: CameraMeta, quality: int) -> bytes | np.ndarray:
    if camera.storage is None:
        return image_codec.to_millimetres(image)
    if camera.storage == "raw":
        return image_codec.to_rgb(image)
    if camera.storage == "passthrough" and isinstance(image, Frame):
        return bytes(image.data)
    return image_codec.encode(image, quality)
