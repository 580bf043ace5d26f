"""How true a video is to its images: measured on every frame as it is read, and encoded better until it is enough.

What a codec loses is up to its CRF. What is lost before it, where four pixels share a colour (4:2:0), is not: images
whose colours change from pixel to pixel reach 30 to 40 dB at best. There each pixel keeps its colour (4:4:4), where the
encoder and the layout's readers know that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vgil_ros.datasets.lerobot.video import FULL_COLOUR, SHARED_COLOUR, Encoding, VideoImages, VideoWriter

LEAST_CRF = {"h264": 0, "av1": 1}  # 0 of H.264 loses nothing but the rounding of colours
DB_A_CRF = 0.7  # what a step of the CRF brings at least, found on noise and on smooth images
MARGIN_DB = 0.2  # by which sharing colours has to be better than what is wanted
PILOTS = 4  # images by which the first encoding is chosen
PILOT_DB = 0.5  # by which these have to be better: the worst of all the images is worse than the worst of a few
EXACT_DB = 99.0  # said of an image that came out exact
Read = Callable[[int], np.ndarray]  # row -> (H, W, 3) uint8 RGB


@dataclass(frozen=True)
class Bound:
    """What is asked for.

    Attributes:
        least_db: PSNR that every image has to reach; 0 for any.
        full_colour: whether the layout's readers take videos in which each pixel has its colour.
    """

    least_db: float
    full_colour: bool


@dataclass(frozen=True)
class Measured:
    """PSNR of images: the least and the mean (dB), how many they were, and the row of the least."""

    least: float
    mean: float
    images: int
    worst: int

    def as_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {"least": round(self.least, 2), "mean": round(self.mean, 2), "images": self.images}


def squared_error(one: np.ndarray, other: np.ndarray) -> float:
    """The mean of the squared differences of two uint8 images."""
    return float(cv2.norm(one, other, cv2.NORM_L2SQR)) / one.size


def db(error: float) -> float:
    """PSNR of a mean squared error."""
    return 10 * math.log10(255.0**2 / error) if error else EXACT_DB


def measure(read: Read, written: Read, rows: Iterable[int], stop_below: float = 0.0) -> Measured:
    """Hold a video's frames against their images; ends at the first that is below `stop_below`."""
    found: list[float] = []
    places: list[int] = []
    for row in rows:
        places.append(row)
        found.append(min(EXACT_DB, db(squared_error(read(row), written(row)))))
        if found[-1] < stop_below:
            break
    least = min(found)
    return Measured(least, sum(found) / len(found), len(found), places[found.index(least)])


def converted(image: np.ndarray, pixels: str) -> np.ndarray:
    """An image after the conversion of its colours alone, without a codec."""
    import av

    there = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format=pixels)
    result: np.ndarray = there.to_ndarray(format="rgb24")
    return result


def better(
    encoding: Encoding, reached_db: float, image: np.ndarray, bound: Bound, least_step: int = 1
) -> Encoding | None:
    """What to encode by after an image that reached too little; None where nothing is better, or of any use.

    Args:
        least_step: of the CRF: one that grows from try to try, since each costs a whole encoding.
    """
    before = squared_error(image, converted(image, encoding.pixels))  # whatever the codec does
    full = replace(encoding, pixels=FULL_COLOUR, crf=min(encoding.crf, 18))
    can_be_full = bound.full_colour and encoding.codec == "h264" and encoding.pixels == SHARED_COLOUR
    if db(before) < bound.least_db + MARGIN_DB:
        return full if can_be_full else None
    room = 255.0**2 / 10 ** (bound.least_db / 10) - before
    lost = max(255.0**2 / 10 ** (reached_db / 10) - before, room)
    crf = encoding.crf - max(least_step, math.ceil(10 * math.log10(lost / room) / DB_A_CRF))
    lowest = LEAST_CRF[encoding.codec]
    if encoding.crf > lowest:
        return replace(encoding, crf=max(crf, lowest))
    return full if can_be_full else None


def first_encoding(read: Read, rows: int, path: Path, usual: Encoding, bound: Bound) -> Encoding:
    """The encoding by which a few images of an episode are good enough; `path` is written on the way."""
    chosen: Sequence[int] = np.unique(np.linspace(0, rows - 1, PILOTS).astype(int)).tolist()
    images = [read(row) for row in chosen]
    encoding: Encoding = usual
    wanted = replace(bound, least_db=bound.least_db + PILOT_DB)
    step = 1
    while bound.least_db:
        write(images.__getitem__, len(images), path, 10.0, encoding)
        with closing(VideoImages(path, 0, len(images), 10.0)) as written:
            found = measure(images.__getitem__, written.rgb, range(len(images)))
        path.unlink()
        if found.least >= wanted.least_db:
            break
        next_one = better(encoding, found.least, images[found.worst], wanted, step)
        if next_one is None:
            break
        encoding, step = next_one, 2 * step
    return encoding


def write(read: Read, rows: int, path: Path, fps: float, encoding: Encoding) -> None:
    """Write a video of all rows."""
    with closing(VideoWriter(path, fps, encoding)) as video:
        for row in range(rows):
            video.add(read(row))


def settle(
    read: Read, rows: int, path: Path, fps: float, encoding: Encoding, bound: Bound
) -> tuple[Encoding, Measured]:
    """Measure every frame of a video; encode it again as long as one is not good enough and that helps."""
    step = 1
    while True:
        with closing(VideoImages(path, 0, rows, fps)) as written:
            found = measure(read, written.rgb, range(rows), bound.least_db)
            if found.least >= bound.least_db:
                return encoding, found
            next_one = better(encoding, found.least, read(found.worst), bound, step)
            if next_one is None:
                return encoding, measure(read, written.rgb, range(rows))
        path.unlink()
        encoding, step = next_one, 2 * step
        write(read, rows, path, fps, encoding)
