"""The kernel's interface to video devices (linux/videodev2.h): its structures and calls, as ctypes.

OpenCV's `VideoCapture` gives neither sequence numbers nor lists of formats nor ranges of controls, and hides why a
device failed; the plain calls give all of that, and need no library.
"""

from __future__ import annotations

import ctypes
import fcntl
from ctypes import c_char, c_int32, c_int64, c_long, c_uint8, c_uint32, c_ulong, c_void_p
from typing import Any

CAPTURE, MMAP, DISCRETE = 1, 1, 1
CAP_CAPTURE, CAP_STREAMING, CAP_DEVICE_CAPS = 0x1, 0x04000000, 0x80000000
CAP_TIMEPERFRAME = 0x1000
BUFFER_ERROR = 0x40
NEXT_CONTROL, CONTROL_DISABLED = 0x80000000, 0x1
TYPE_INTEGER, TYPE_BOOLEAN, TYPE_MENU, TYPE_INTEGER_MENU = 1, 2, 3, 9


class Capability(ctypes.Structure):
    """v4l2_capability."""

    _fields_ = (
        ("driver", c_char * 16),
        ("card", c_char * 32),
        ("bus_info", c_char * 32),
        ("version", c_uint32),
        ("capabilities", c_uint32),
        ("device_caps", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FormatDescription(ctypes.Structure):
    """v4l2_fmtdesc."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("flags", c_uint32),
        ("description", c_char * 32),
        ("pixelformat", c_uint32),
        ("mbus_code", c_uint32),
        ("reserved", c_uint32 * 3),
    )


class FrameSize(ctypes.Structure):
    """v4l2_frmsizeenum; `values`: width and height, or least, most and step of each."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class FrameInterval(ctypes.Structure):
    """v4l2_frmivalenum; `values`: numerator and denominator in s, or those of least, most and step."""

    _fields_ = (
        ("index", c_uint32),
        ("pixel_format", c_uint32),
        ("width", c_uint32),
        ("height", c_uint32),
        ("type", c_uint32),
        ("values", c_uint32 * 6),
        ("reserved", c_uint32 * 2),
    )


class PixelFormat(ctypes.Structure):
    """v4l2_pix_format."""

    _fields_ = tuple(
        (name, c_uint32)
        for name in (
            *("width", "height", "pixelformat", "field", "bytesperline", "sizeimage", "colorspace", "priv", "flags"),
            *("encoding", "quantization", "transfer"),
        )
    )


class _FormatUnion(ctypes.Union):
    _fields_ = (("pix", PixelFormat), ("raw", c_uint8 * 200), ("aligned", c_void_p))


class Format(ctypes.Structure):
    """v4l2_format."""

    _fields_ = (("type", c_uint32), ("fmt", _FormatUnion))


class StreamParameters(ctypes.Structure):
    """v4l2_streamparm of a capture device."""

    _fields_ = (
        ("type", c_uint32),
        ("capability", c_uint32),
        ("mode", c_uint32),
        ("numerator", c_uint32),
        ("denominator", c_uint32),
        ("rest", c_uint8 * 184),
    )


class RequestBuffers(ctypes.Structure):
    """v4l2_requestbuffers."""

    _fields_ = (
        ("count", c_uint32),
        ("type", c_uint32),
        ("memory", c_uint32),
        ("capabilities", c_uint32),
        ("flags", c_uint8),
        ("reserved", c_uint8 * 3),
    )


class _Memory(ctypes.Union):
    _fields_ = (("offset", c_uint32), ("userptr", c_ulong), ("planes", c_void_p), ("fd", c_int32))


class Buffer(ctypes.Structure):
    """v4l2_buffer."""

    _fields_ = (
        ("index", c_uint32),
        ("type", c_uint32),
        ("bytesused", c_uint32),
        ("flags", c_uint32),
        ("field", c_uint32),
        ("seconds", c_long),
        ("microseconds", c_long),
        ("timecode", c_uint32 * 4),
        ("sequence", c_uint32),
        ("memory", c_uint32),
        ("m", _Memory),
        ("length", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class QueryControl(ctypes.Structure):
    """v4l2_queryctrl."""

    _fields_ = (
        ("id", c_uint32),
        ("type", c_uint32),
        ("name", c_char * 32),
        ("minimum", c_int32),
        ("maximum", c_int32),
        ("step", c_int32),
        ("default", c_int32),
        ("flags", c_uint32),
        ("reserved", c_uint32 * 2),
    )


class _MenuItem(ctypes.Union):
    _pack_ = 1
    _fields_ = (("name", c_char * 32), ("value", c_int64))


class QueryMenu(ctypes.Structure):
    """v4l2_querymenu, which the kernel packs."""

    _pack_ = 1
    _fields_ = (("id", c_uint32), ("index", c_uint32), ("item", _MenuItem), ("reserved", c_uint32))


class ControlValue(ctypes.Structure):
    """v4l2_control."""

    _fields_ = (("id", c_uint32), ("value", c_int32))


_READ, _WRITE = 2, 1


def _request(direction: int, number: int, kind: Any) -> int:
    """_IOC('V', ...) of asm-generic/ioctl.h."""
    return direction << 30 | ctypes.sizeof(kind) << 16 | ord("V") << 8 | number


QUERYCAP = _request(_READ, 0, Capability)
ENUM_FMT = _request(_READ | _WRITE, 2, FormatDescription)
G_FMT = _request(_READ | _WRITE, 4, Format)
S_FMT = _request(_READ | _WRITE, 5, Format)
REQBUFS = _request(_READ | _WRITE, 8, RequestBuffers)
QUERYBUF = _request(_READ | _WRITE, 9, Buffer)
QBUF = _request(_READ | _WRITE, 15, Buffer)
DQBUF = _request(_READ | _WRITE, 17, Buffer)
STREAMON = _request(_WRITE, 18, c_int32)
STREAMOFF = _request(_WRITE, 19, c_int32)
G_PARM = _request(_READ | _WRITE, 21, StreamParameters)
S_PARM = _request(_READ | _WRITE, 22, StreamParameters)
G_CTRL = _request(_READ | _WRITE, 27, ControlValue)
S_CTRL = _request(_READ | _WRITE, 28, ControlValue)
QUERYCTRL = _request(_READ | _WRITE, 36, QueryControl)
QUERYMENU = _request(_READ | _WRITE, 37, QueryMenu)
ENUM_FRAMESIZES = _request(_READ | _WRITE, 74, FrameSize)
ENUM_FRAMEINTERVALS = _request(_READ | _WRITE, 75, FrameInterval)


def call(fd: int, request: int, argument: Any) -> None:
    """Do a call; the structure is filled in. Other threads run meanwhile.

    Raises:
        OSError: as the kernel says.
    """
    fcntl.ioctl(fd, request, argument)


def fourcc(name: str) -> int:
    """A format's number by its four letters."""
    return int.from_bytes(name.encode("ascii").ljust(4), "little")


def letters(number: int) -> str:
    """A format's four letters by its number, without blanks."""
    return number.to_bytes(4, "little").decode("latin-1").rstrip()
