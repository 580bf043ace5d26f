"""Messages as bytes, written without ROS: what `cdr` reads, in plain CDR, little-endian."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from vgil_ros.core.messages.cdr import CdrError

SECOND = 1_000_000_000
LATEST_NS = (1 << 31) * SECOND - 1  # a header's seconds are an int32
PLAIN_CDR = b"\x00\x01\x00\x00"
_NUMBERS = {4: "<f4", 8: "<f8"}


class CdrWriter:
    """Writes one message from front to back; a value is aligned to its size, counted from behind the header."""

    def __init__(self) -> None:
        self._data = bytearray(PLAIN_CDR)

    def _align(self, size: int) -> None:
        self._data += bytes(-(len(self._data) - len(PLAIN_CDR)) % size)

    def u32(self, *values: int) -> CdrWriter:
        """Unsigned numbers of 32 bits."""
        self._align(4)
        self._data += struct.pack(f"<{len(values)}I", *values)
        return self

    def u8(self, value: int) -> CdrWriter:
        """One byte."""
        self._data.append(value)
        return self

    def string(self, words: str) -> CdrWriter:
        """A string, with its closing zero."""
        data = words.encode() + b"\0"
        self.u32(len(data))._data += data
        return self

    def header(self, stamp_ns: int, frame: str) -> CdrWriter:
        """std_msgs/Header.

        Raises:
            CdrError: for a stamp that it has no room for.
        """
        if not 0 <= stamp_ns <= LATEST_NS:
            raise CdrError(f"stamp is {stamp_ns} ns; allowed: 0 to {LATEST_NS}, the years 1970 to 2038")
        return self.u32(*divmod(stamp_ns, SECOND)).string(frame)

    def doubles(self, values: Sequence[float] | np.ndarray) -> CdrWriter:
        """float64 side by side, as the fields of a message are."""
        self._align(8)
        self._data += np.ascontiguousarray(values, "<f8").tobytes()
        return self

    def sequence(self, values: np.ndarray) -> CdrWriter:
        """A sequence of numbers of one type (n,)."""
        self.u32(len(values))
        if len(values):
            self._align(values.dtype.itemsize)
            self._data += np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
        return self

    def done(self, *behind: bytes | memoryview) -> bytes:
        """The message, with what ends it behind: an image is copied once."""
        return b"".join((self._data, *behind))


def joint_state(
    stamp_ns: int,
    names: Sequence[str],
    position: np.ndarray,
    velocity: np.ndarray | None = None,
    effort: np.ndarray | None = None,
) -> bytes:
    """sensor_msgs/JointState; what is None is left empty, as drivers leave what they do not measure."""
    message = CdrWriter().header(stamp_ns, "").u32(len(names))
    for name in names:
        message.string(name)
    for values in (position, velocity, effort):
        message.sequence(np.empty(0) if values is None else np.asarray(values, np.float64))
    return message.done()


def number(value: float, size: int) -> bytes:
    """std_msgs/Float32 (4 bytes) or Float64 (8)."""
    return CdrWriter().done(np.array(value, _NUMBERS[size]).tobytes())


def multi_array(values: np.ndarray) -> bytes:
    """The std_msgs/...MultiArray of the values' type (n,); its layout says nothing."""
    return CdrWriter().u32(0, 0).sequence(values).done()


def stamped(stamp_ns: int, values: Sequence[float] | np.ndarray) -> bytes:
    """A message of a header and float64 alone, such as geometry_msgs/TwistStamped."""
    return CdrWriter().header(stamp_ns, "").doubles(values).done()


def twist_of(linear: float, angular: float) -> list[float]:
    """The numbers of a geometry_msgs/Twist of linear.x (m/s) and angular.z (rad/s)."""
    return [linear, 0.0, 0.0, 0.0, 0.0, angular]


def twist(linear: float, angular: float) -> bytes:
    """geometry_msgs/Twist."""
    return CdrWriter().doubles(twist_of(linear, angular)).done()


def odometry(stamp_ns: int, linear: float, angular: float) -> bytes:
    """nav_msgs/Odometry of a velocity alone: its pose is the origin."""
    pose = [0.0] * 6 + [1.0] + [0.0] * 36
    message = CdrWriter().header(stamp_ns, "odom").string("base_link")
    return message.doubles([*pose, *twist_of(linear, angular), *[0.0] * 36]).done()


def text(words: str) -> bytes:
    """std_msgs/String."""
    return CdrWriter().string(words).done()


def image(stamp_ns: int, pixels: np.ndarray, encoding: str, frame: str = "") -> bytes:
    """sensor_msgs/Image of pixels (H, W, C) or (H, W), little-endian, rows without padding."""
    height, width = pixels.shape[:2]
    data = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    message = CdrWriter().header(stamp_ns, frame).u32(height, width).string(encoding).u8(0)
    return message.u32(data.size // height, data.size).done(data.data)


def compressed(stamp_ns: int, kind: str, data: bytes, frame: str = "") -> bytes:
    """sensor_msgs/CompressedImage.

    Args:
        kind: its `format`, as image_transport writes it: "jpeg", "16UC1; compressedDepth png".
        data: the file.
    """
    return CdrWriter().header(stamp_ns, frame).string(kind).u32(len(data)).done(data)
