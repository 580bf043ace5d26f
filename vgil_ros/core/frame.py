"""One image as it came from a camera: its bytes are owned once and only ever looked at."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError

# encoding -> (bytes per channel, channels)
RAW_ENCODINGS = {
    "rgb8": (1, 3),
    "bgr8": (1, 3),
    "rgba8": (1, 4),
    "bgra8": (1, 4),
    "mono8": (1, 1),
    "16UC1": (2, 1),
    "mono16": (2, 1),
    "32FC1": (4, 1),
}
COLOR_ENCODINGS = ("rgb8", "bgr8", "rgba8", "bgra8", "mono8")
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")


class FrameError(VgilError):
    """An image whose size, encoding or length is not what it must be."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image in the encoding of its message.

    Attributes:
        height, width: pixels.
        encoding: a key of RAW_ENCODINGS, or "jpeg" (then `data` is the whole JPEG file).
        step: bytes a row (raw encodings).
        data: the bytes, read-only.
    """

    height: int
    width: int
    encoding: str
    step: int
    data: memoryview

    def check(self, height: int, width: int, allowed: tuple[str, ...]) -> None:
        """Hold the image against the contract.

        Raises:
            FrameError: for another encoding or size, or too few bytes.
        """
        if self.encoding not in allowed:
            raise FrameError(f"encoding is '{self.encoding}'; allowed: {list(allowed)}")
        if (self.height, self.width) != (height, width):
            raise FrameError(f"image is {self.height}x{self.width}; the contract says {height}x{width}")
        if self.encoding != "jpeg":
            size, channels = RAW_ENCODINGS[self.encoding]
            if self.step < self.width * size * channels or len(self.data) < self.step * self.height:
                raise FrameError(
                    f"{len(self.data)} bytes, {self.step} a row; too few for {height}x{width} {self.encoding}"
                )

    def array(self) -> np.ndarray:
        """Return a raw image, read-only: (H, W, C) or, of one channel, (H, W) uint8; (H, W) uint16 or float32.

        A view where it can be one. Two- and four-byte pixels are taken as little-endian, as every driver sends them.
        """
        size, channels = RAW_ENCODINGS[self.encoding]
        flat = np.frombuffer(self.data, np.uint8, self.step * self.height).reshape(self.height, self.step)
        flat.flags.writeable = False
        pixels = flat[:, : self.width * size * channels]
        if size == 1:
            return pixels.reshape(self.height, self.width, channels) if channels > 1 else pixels
        pixels = np.ascontiguousarray(pixels).view("<u2" if size == 2 else "<f4")
        pixels.flags.writeable = False
        return pixels

    def fingerprint(self) -> int:
        """A checksum of the content that tells a frozen camera from a living one.

        Raw images are read on every eighth row: a living sensor's noise shows on any of them.
        """
        if self.encoding == "jpeg":
            return zlib.crc32(self.data)
        stride = self.step * 8
        value = 0
        for start in range(0, self.step * self.height, stride):
            value = zlib.crc32(self.data[start : start + self.step], value)
        return value


def jpeg_size(jpeg: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) from a JPEG's frame header.

    Raises:
        FrameError: where there is no such header. Source: ITU-T T.81, B.2.2.
    """
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (jpeg[at + 5] << 8) | jpeg[at + 6], (jpeg[at + 7] << 8) | jpeg[at + 8]
        at += 1 if marker == 0xFF else 2 + ((jpeg[at + 2] << 8) | jpeg[at + 3])
    raise FrameError("a JPEG without a frame header (SOF): cut off or damaged")
