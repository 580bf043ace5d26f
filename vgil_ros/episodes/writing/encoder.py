"""Encoding in worker threads. OpenCV lets go of the interpreter's lock while it encodes."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import cv2
import numpy as np

from vgil_ros.core.frame import Frame
from vgil_ros.episodes import pictures
from vgil_ros.episodes.meta import CameraMeta

Picture = Frame | np.ndarray


class Encoder:
    """Turns a row's pictures into what the file takes, in order, in the background.

    A camera slower than the tick repeats its frame; the same Frame object is encoded once.
    """

    def __init__(self, cameras: tuple[CameraMeta, ...], quality: int, threads: int) -> None:
        cv2.setNumThreads(1)  # for the process: beside these threads, OpenCV's own only wait at full speed
        self._cameras, self._quality = cameras, quality
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")
        self._last: list[tuple[Picture, Future] | None] = [None] * len(cameras)

    def submit(self, row: list[Picture]) -> tuple[Future, ...]:
        """Start on a row, one picture for each camera; the futures give `bytes` (JPEG) or arrays."""
        return tuple(self._one(i, picture) for i, picture in enumerate(row))

    def _one(self, index: int, picture: Picture) -> Future:
        last = self._last[index]
        if last is not None and last[0] is picture and isinstance(picture, Frame):
            return last[1]
        future = self._pool.submit(_work, picture, self._cameras[index], self._quality)
        self._last[index] = (picture, future)
        return future

    def close(self) -> None:
        """End the threads once their work is done."""
        self._pool.shutdown(wait=True)


def _work(picture: Picture, camera: CameraMeta, quality: int) -> bytes | np.ndarray:
    if camera.storage is None:
        return pictures.to_millimetres(picture)
    if camera.storage == "raw":
        return pictures.to_rgb(picture)
    if camera.storage == "passthrough" and isinstance(picture, Frame):
        return bytes(picture.data)
    return pictures.encode(picture, quality)
