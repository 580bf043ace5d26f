"""A view into serialised messages: what is needed of them is read in place, images are never copied.

rclpy hands over the bytes of a `raw=True` subscription as the middleware received them: a four-byte encapsulation
header, then plain CDR (OMG DDS-XTypes 7.4.1, version 1: a value is aligned to its size, counted from behind the
header). Deserialising a 480x640 image into a Python message costs a copy and 0.3 ms; this costs neither.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import (
    JPEG_END,
    JPEG_START,
    PNG_END,
    PNG_START,
    RAW_ENCODINGS,
    Frame,
    FrameError,
    file_size,
    image_end,
)

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

    def numbers(self, dtype: np.dtype) -> np.ndarray:
        """A sequence of numbers of a type, which is given as little-endian."""
        count = self.u32()
        if count:
            self.at = ((self.at - 4 + dtype.itemsize - 1) & -dtype.itemsize) + 4
        return np.frombuffer(self.take(dtype.itemsize * count), dtype if self.little else dtype.newbyteorder(">"))

    def doubles(self, count: int) -> np.ndarray:
        """So many float64 that stand side by side, as the fields of a message do."""
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


def read_number(data: bytes, size: int) -> float:
    """Read a serialised std_msgs/Float32 or Float64.

    Args:
        data: the message.
        size: 4 or 8 bytes.

    Raises:
        CdrError: for bytes that are not one.
    """
    reader = CdrReader(data)
    order = "<" if reader.little else ">"
    value: float = struct.unpack(order + {4: "f", 8: "d"}[size], reader.take(size))[0]
    return value


def read_stamped(data: bytes, count: int) -> tuple[int, np.ndarray]:
    """Read a serialised message of a header and float64 alone into (stamp_ns, its first `count` numbers).

    Raises:
        CdrError: for bytes that are not one.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    return stamp, reader.doubles(count)


def read_multi_array(data: bytes, size: int) -> np.ndarray:
    """Read a serialised std_msgs/Float32MultiArray or Float64MultiArray: its numbers, whatever its layout says.

    Args:
        data: the message.
        size: 4 or 8 bytes a number.

    Raises:
        CdrError: for bytes that are not one.
    """
    return read_array(data, np.dtype(f"<f{size}"))


def read_array(data: bytes, dtype: np.dtype) -> np.ndarray:
    """Read the (n,) numbers of any of std_msgs' MultiArrays, whatever its layout says.

    Args:
        data: the message.
        dtype: of its numbers, little-endian.

    Raises:
        CdrError: for bytes that are not one.
    """
    reader = CdrReader(data)
    for _ in range(_count(reader)):
        reader.string()
        reader.u32(), reader.u32()
    reader.u32()
    return reader.numbers(dtype)


def read_odometry(data: bytes) -> tuple[int, np.ndarray]:
    """Read a serialised nav_msgs/Odometry into (stamp_ns, (2,) float64: twist.linear.x m/s, twist.angular.z rad/s).

    Raises:
        CdrError: for bytes that are not one.
    """
    reader = CdrReader(data)
    stamp = reader.stamp()
    reader.string()
    reader.string()
    reader.doubles(7 + 36)  # the pose and its covariance
    twist = reader.doubles(6)
    return stamp, np.array([twist[0], twist[5]])


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
        return stamp, _file(_until(image, JPEG_END, "JPEG"), "jpeg")
    if image[:8] == PNG_START:
        return stamp, _file(_until(image, PNG_END, "PNG"), "png")
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
    return stamp, _file(_until(image, PNG_END, "PNG", 12), encoding, 12)


def _file(image: memoryview, encoding: str, header: int = 0) -> Frame:
    """A frame of a JPEG or PNG that begins after `header` bytes."""
    try:
        height, width = file_size(image[header:])
    except FrameError as error:
        raise CdrError(str(error)) from error
    return Frame(height, width, encoding, 0, image)


def _until(image: memoryview, end: bytes, what: str, header: int = 0) -> memoryview:
    """The image up to its end; it begins after `header` bytes. Most end with the message: then nothing is copied."""
    if image[-len(end) :] == end:
        return image
    size = image_end(image[header:])
    if size is None:
        raise CutImage(what)
    return image[: header + size]
