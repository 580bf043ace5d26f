"""A view into serialised messages: what the recorder needs of them is read in place, images are never copied.

rclpy hands over the bytes of a `raw=True` subscription as the middleware received them: a four-byte encapsulation
header, then plain CDR (OMG DDS-XTypes 7.4.1, version 1: a value is aligned to its size, counted from behind the
header). Deserialising a 480x640 image into a Python message costs a copy and 0.3 ms; this costs neither.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import RAW_ENCODINGS, Frame

JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"

_U32 = {True: struct.Struct("<I"), False: struct.Struct(">I")}
_STAMP = {True: struct.Struct("<iI"), False: struct.Struct(">iI")}


class CdrError(VgilError):
    """Bytes that are not the message they should be."""


class CutImage(CdrError):
    """A compressed image that does not reach its end.

    Attributes:
        what: "JPEG" or "PNG".
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"a {what} that is cut off")
        self.what = what


class CdrReader:
    """Reads one message from front to back.

    Raises:
        CdrError: for another encapsulation than plain CDR, or a message that ends too early.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.data = memoryview(data)
        if len(self.data) < 4 or self.data[0] != 0 or self.data[1] > 1:
            header = bytes(self.data[:4]).hex()
            raise CdrError(f"encapsulation '{header}' is unknown; allowed: plain CDR (0000 or 0001)")
        self.little = self.data[1] == 1
        self.at = 4

    def u32(self) -> int:
        """An unsigned 32-bit number."""
        self.at = (self.at + 3) & ~3
        try:
            (value,) = _U32[self.little].unpack_from(self.data, self.at)
        except struct.error as error:
            raise CdrError(f"the message ends at byte {len(self.data)}") from error
        self.at += 4
        return int(value)

    def u8(self) -> int:
        """One byte."""
        return self.take(1)[0]

    def take(self, size: int) -> memoryview:
        """The next `size` bytes, as a view."""
        end = self.at + size
        if end > len(self.data):
            raise CdrError(f"the message ends at byte {len(self.data)}; {end} are needed")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def stamp(self) -> int:
        """builtin_interfaces/Time in nanoseconds."""
        piece = self.take(8)  # a message starts with it, so it is aligned
        seconds, nanoseconds = _STAMP[self.little].unpack(piece)
        return int(seconds) * 1_000_000_000 + int(nanoseconds)

    def string(self) -> str:
        """A string, without its closing zero."""
        size = self.u32()
        return bytes(self.take(size)[: size - 1 if size else 0]).decode("utf-8", "replace")

    def floats(self) -> np.ndarray:
        """A sequence of float64, as a read-only view where byte order allows."""
        count = self.u32()
        if count == 0:
            return np.empty(0)
        self.at = ((self.at - 4 + 7) & ~7) + 4
        return np.frombuffer(self.take(8 * count), np.float64 if self.little else np.dtype(">f8"))


@dataclass(frozen=True, slots=True)
class JointMessage:
    """What a sensor_msgs/JointState says."""

    stamp_ns: int
    names: tuple[str, ...]
    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray


def read_joint_state(data: bytes) -> JointMessage:
    """Read a serialised sensor_msgs/JointState.

    Raises:
        CdrError: for bytes that are not one.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    names = tuple(reader.string() for _ in range(_count(reader)))
    return JointMessage(stamp, names, reader.floats(), reader.floats(), reader.floats())


def _count(reader: CdrReader) -> int:
    count = reader.u32()
    if count > len(reader.data):
        raise CdrError(f"{count} names in a message of {len(reader.data)} bytes")
    return count


def read_image(data: bytes) -> tuple[int, Frame]:
    """Read a serialised sensor_msgs/Image into (stamp_ns, Frame over the same bytes).

    Raises:
        CdrError: for bytes that are not one, or pixels of more than a byte in big-endian order.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    height, width, encoding = reader.u32(), reader.u32(), reader.string()
    big_endian, step = reader.u8(), reader.u32()
    if big_endian and RAW_ENCODINGS.get(encoding, (1, 1))[0] > 1:
        raise CdrError(f"{encoding} in big-endian order; allowed: little-endian")
    return stamp, Frame(height, width, encoding, step, reader.take(reader.u32()).toreadonly())


def read_compressed(data: bytes) -> tuple[int, Frame]:
    """Read a serialised sensor_msgs/CompressedImage that holds a JPEG or PNG into (stamp_ns, Frame over the same
    bytes). What lies behind the image's end (some drivers send a whole buffer, zeros and all) is left out.

    Raises:
        CutImage: where the image does not reach its end.
        CdrError: for bytes that are not one, or another format than JPEG and PNG.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    kind = reader.string()
    image = reader.take(reader.u32()).toreadonly()
    if image[:2] == JPEG_START:
        whole = _until(image, JPEG_END, "JPEG")
        return stamp, Frame(*jpeg_size(whole), "jpeg", 0, whole)
    if image[:8] == PNG_START:
        whole = _until(image, PNG_END, "PNG")
        return stamp, Frame(*png_size(whole), "png", 0, whole)
    raise CdrError(f"compressed image of format '{kind}' is neither JPEG nor PNG; allowed: jpeg, png")


def read_compressed_depth(data: bytes) -> tuple[int, Frame]:
    """Read a serialised sensor_msgs/CompressedImage of image_transport's `compressedDepth` into (stamp_ns, Frame):
    12 bytes of header, then a PNG of 16 bits.

    Raises:
        CutImage: where the image does not reach its end.
        CdrError: for bytes that are not one, or another format.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    kind = reader.string()
    image = reader.take(reader.u32()).toreadonly()
    encoding = next((f"compressedDepth {name}" for name in ("16UC1", "32FC1") if kind.startswith(name)), None)
    if encoding is None or "compressedDepth" not in kind or image[12:20] != PNG_START:
        raise CdrError(
            f"compressed image of format '{kind}'; allowed: '16UC1; compressedDepth png' or '32FC1; compressedDepth"
            " png' (the transport's parameter `format: png`)"
        )
    whole = _until(image, PNG_END, "PNG")
    return stamp, Frame(*png_size(whole[12:]), encoding, 0, whole)


def _until(image: memoryview, end: bytes, what: str) -> memoryview:
    """The image up to its end: looked for from behind, past zeros, as a picture in it (a thumbnail) ends too."""
    if image[-len(end) :] == end:
        return image
    size = len(bytes(image).rstrip(b"\0"))
    if image[size - len(end) : size] != end:
        raise CutImage(what)
    return image[:size]


def png_size(png: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) from a PNG's header.

    Raises:
        CdrError: where there is none. Source: PNG specification, 11.2.2.
    """
    if len(png) < 24 or png[12:16] != b"IHDR":
        raise CdrError("a PNG without its header (IHDR): cut off or damaged")
    width, height = struct.unpack_from(">II", png, 16)
    return int(height), int(width)


def jpeg_size(jpeg: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) from a JPEG's frame header.

    Raises:
        CdrError: where there is no such header. Source: ITU-T T.81, B.2.2.
    """
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (jpeg[at + 5] << 8) | jpeg[at + 6], (jpeg[at + 7] << 8) | jpeg[at + 8]
        at += 1 if marker == 0xFF else 2 + ((jpeg[at + 2] << 8) | jpeg[at + 3])
    raise CdrError("a JPEG without a frame header (SOF): cut off or damaged")
