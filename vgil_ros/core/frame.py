"""One image as it came from a camera: its bytes are owned once and only ever looked at."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError

BAYER = tuple(f"bayer_{order}" for order in ("rggb", "bggr", "gbrg", "grbg"))
# encoding -> (bytes per channel, channels); 4:2:2 has two channels: luminance, and the two colours by turns
RAW_ENCODINGS = {
    "rgb8": (1, 3),
    "bgr8": (1, 3),
    "rgba8": (1, 4),
    "bgra8": (1, 4),
    "8UC3": (1, 3),
    "mono8": (1, 1),
    "yuv422_yuy2": (1, 2),
    "yuyv": (1, 2),
    "yuv422": (1, 2),
    "uyvy": (1, 2),
    "nv12": (1, 1),
    "nv21": (1, 1),
    "nv24": (1, 1),
    **{f"{order}8": (1, 1) for order in BAYER},
    **{f"{order}16": (2, 1) for order in BAYER},
    "mono16": (2, 1),
    "16UC1": (2, 1),
    "32FC1": (4, 1),
}
PLANES = {"nv12": 1.5, "nv21": 1.5, "nv24": 3.0}  # rows of bytes a row of pixels: luminance, then colour
PAIRED = ("yuv422_yuy2", "yuyv", "yuv422", "uyvy", "nv12", "nv21")  # two pixels in a row share their colour
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
COLOR_ENCODINGS = tuple(name for name in RAW_ENCODINGS if name not in ("16UC1", "32FC1"))
FILE_ENCODINGS = ("jpeg", "png")  # `data` is a whole image file
DEPTH_FILES = ("compressedDepth 16UC1", "compressedDepth 32FC1")  # image_transport's header, then a PNG
EMPTY_SHARE = 200  # a depth image whose PNG is so many times smaller than its pixels shows next to nothing
JPEG_START, PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # in a JPEG's compressed data, FF 00 is a byte and D0..D7 go on
IN_THE_DRIVER = "set it in the driver: usb_cam `pixel_format: mjpeg2rgb`, v4l2_camera `output_encoding: rgb8`"


class FrameError(VgilError):
    """An image whose size, encoding or length is not what it must be."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An image in the encoding of its message.

    Attributes:
        height, width: pixels.
        encoding: a key of RAW_ENCODINGS, one of FILE_ENCODINGS, or one of DEPTH_FILES.
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
            raise FrameError(f"encoding is '{self.encoding}'; allowed: {list(allowed)}; {IN_THE_DRIVER}")
        if (self.height, self.width) != (height, width):
            raise FrameError(f"image is {self.height}x{self.width}; the contract says {height}x{width}")
        if self.encoding in RAW_ENCODINGS:
            self._check_bytes()

    def _check_bytes(self) -> None:
        size, channels = RAW_ENCODINGS[self.encoding]
        if self.step < self.width * size * channels or len(self.data) < self.step * self.rows:
            raise FrameError(
                f"{len(self.data)} bytes, {self.step} a row; too few for {self.height}x{self.width} {self.encoding}"
            )
        odd = self.width % 2 if self.encoding in PAIRED else 0
        if odd or (self.encoding in ("nv12", "nv21") and self.height % 2):
            raise FrameError(f"image is {self.height}x{self.width} {self.encoding}; allowed: an even size")
        if self.encoding == "nv24" and self.step != self.width:
            raise FrameError(f"{self.step} bytes a row of nv24; allowed: {self.width}, no padding")

    @property
    def rows(self) -> int:
        """Rows of bytes of a raw image: more than `height` where colour stands in planes of its own."""
        return int(self.height * PLANES.get(self.encoding, 1))

    def array(self) -> np.ndarray:
        """Return a raw image, read-only: (H, W, C) or, of one channel, (H, W) uint8; (H, W) uint16 or float32.

        Planes of colour (nv12, nv21, nv24) follow as further rows. A view where it can be one. Two- and four-byte
        pixels are taken as little-endian, as every driver sends them.
        """
        size, channels = RAW_ENCODINGS[self.encoding]
        flat = np.frombuffer(self.data, np.uint8, self.step * self.rows).reshape(self.rows, self.step)
        flat.flags.writeable = False
        pixels = flat[:, : self.width * size * channels]
        if size == 1:
            return pixels.reshape(self.rows, self.width, channels) if channels > 1 else pixels
        pixels = np.ascontiguousarray(pixels).view("<u2" if size == 2 else "<f4")
        pixels.flags.writeable = False
        return pixels

    def fingerprint(self, *, depth: bool = False) -> int | None:
        """A checksum of the content that tells a frozen camera from a living one; None where it could tell neither.

        Raw images are read on every eighth row: a living sensor's noise shows on any of them. A depth image that is
        the same all over (all 0: nothing within reach) is what a living camera sends too.
        """
        if self.encoding not in RAW_ENCODINGS:
            empty = depth and len(self.data) * EMPTY_SHARE < self.height * self.width * 2
            return None if empty else zlib.crc32(self.data)
        rows = [
            self.data[start : start + self.step] for start in range(0, self.step * self.rows, max(self.step * 8, 1))
        ]
        if depth and rows and self._constant(rows):
            return None
        value = 0
        for row in rows:
            value = zlib.crc32(row, value)
        return value

    def _constant(self, rows: list[memoryview]) -> bool:
        size = RAW_ENCODINGS[self.encoding][0]
        first = bytes(rows[0][:size]) * self.width
        return all(row[: len(first)] == first for row in rows)


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


def png_size(png: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) from a PNG's header.

    Raises:
        FrameError: where there is none. Source: PNG specification, 11.2.2.
    """
    if len(png) < 24 or png[12:16] != b"IHDR":
        raise FrameError("a PNG without its header (IHDR): cut off or damaged")
    return int.from_bytes(png[20:24], "big"), int.from_bytes(png[16:20], "big")


def file_size(image: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) of a JPEG or PNG by its header.

    Raises:
        FrameError: where it is neither, or has no such header.
    """
    if image[:2] == JPEG_START:
        return jpeg_size(image)
    if image[:8] == PNG_START:
        return png_size(image)
    raise FrameError("is neither JPEG nor PNG; allowed: one of these")


def image_end(image: memoryview | bytes) -> int | None:
    """Return how many bytes of a stored or received JPEG or PNG are its own: whole images alone have an end.

    What lies behind the end is no part of the image: zeros that fill a buffer or a row, or a driver's own data. An end
    within the image, of a thumbnail in a JPEG's header, is not taken for it.

    Returns:
        None where it is neither JPEG nor PNG, or does not reach its end.
        Source: ITU-T T.81, B.1.1; PNG specification, 5.3.
    """
    data = bytes(image)
    for start, end, walk in ((JPEG_START, JPEG_END, _jpeg_end), (PNG_START, PNG_END, _png_end)):
        if data.startswith(start):
            size = len(data.rstrip(b"\0"))
            return size if data.endswith(end, len(start), size) else walk(data)
    return None


def is_whole_image(image: memoryview | bytes) -> bool:
    """Whether bytes are a JPEG or PNG that reaches its end, whatever lies behind that; nothing is decoded."""
    return image_end(image) is not None


def _jpeg_end(data: bytes) -> int | None:
    """Walk the segments: each says how long it is, but for compressed data, which goes on to the next marker."""
    at = len(JPEG_START)
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a marker may be preceded by any number of these
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            found = _MARKER.search(data, at)
            if found is None:
                return None
            at = found.start()
            if data.startswith(JPEG_END, at):
                return at + len(JPEG_END)
    return None


def _png_end(data: bytes) -> int | None:
    """Walk the chunks: length, kind, content, checksum."""
    at = len(PNG_START)
    while at + 12 <= len(data):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at if data.endswith(PNG_END, 0, at) else None
    return None
