"""What one camera shows in an episode: a few images made small, how bright they are, how sharp."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.view import Episode

SAMPLES = 6
SIZE = (64, 48)  # width, height of what is compared
PICTURE_WIDTH, QUALITY = 160, 80
WHITE = 250  # grey levels from which a pixel is burnt out


@dataclass(frozen=True, eq=False)
class Look:
    """One camera.

    Attributes:
        rows: (K,) that were looked at.
        size: (height, width) in pixels.
        brightness, contrast, white: (K,) mean and standard deviation of grey levels, share of burnt-out pixels.
        sharpness: (K,) log of the Laplacian's variance over the image's.
        first: (48, 64, 3) uint8 RGB, of the first row.
        usual: (48, 64) uint8, grey, the median of the images: what stands still.
        picture: a small JPEG of the middle row, for people.
    """

    rows: np.ndarray
    size: tuple[int, int]
    brightness: np.ndarray
    contrast: np.ndarray
    white: np.ndarray
    sharpness: np.ndarray
    first: np.ndarray
    usual: np.ndarray
    picture: bytes


def look_at(episode: Episode, camera: str) -> Look | None:
    """Look at a camera's images in a few rows; None where none of them can be read."""
    count = min(episode.rows, episode.image_rows(camera))
    wanted = np.unique(np.linspace(0, count - 1, SAMPLES).astype(int)) if count else np.zeros(0, int)
    rows: list[int] = []
    numbers, small = [], []
    picture, size = b"", (0, 0)
    first: np.ndarray = np.zeros((*SIZE[::-1], 3), np.uint8)
    for row in wanted.tolist():
        try:
            image = episode.image(camera, row)
        except EpisodeError:
            continue  # the check of images names it
        grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
        if not rows:
            first = cv2.resize(image, SIZE, interpolation=cv2.INTER_AREA)
        rows.append(row)
        size = (image.shape[0], image.shape[1])
        numbers.append(_numbers(grey))
        small.append(cv2.resize(grey, SIZE, interpolation=cv2.INTER_AREA))
        if not picture or 2 * row <= count:
            picture = _picture(image)
    if not rows:
        return None
    bright, contrast, white, sharp = np.array(numbers, np.float64).T
    usual = np.median(np.stack(small), axis=0).astype(np.uint8)
    return Look(np.array(rows), size, bright, contrast, white, sharp, first, usual, picture)


def _numbers(grey: np.ndarray) -> tuple[float, float, float, float]:
    """Brightness, contrast, share of white, sharpness of an image (H, W) uint8."""
    edges = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    contrast = float(grey.std())
    sharpness = float(np.log((edges + 0.1) / (contrast**2 + 1.0)))
    return float(grey.mean()), contrast, float((grey >= WHITE).mean()), sharpness


def _picture(image: np.ndarray) -> bytes:
    height, width = image.shape[:2]
    wide = min(width, PICTURE_WIDTH)
    small = cv2.resize(image, (wide, max(1, round(height * wide / width))), interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return bytes(data) if done else b""
