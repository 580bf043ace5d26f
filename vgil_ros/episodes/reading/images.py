"""How a camera's images lie in a file: as JPEGs or as pixels, in the forms that are met; anything else is named.

Raw: (T, H, W, 3) uint8. JPEG: (T, P) uint8, zero-padded (ALOHA), or (T,) rows of bytes, each of its own length: arrays
of uint8, or byte strings (RoboTwin, RDT). Depth: (T, H, W) uint16.
"""

from __future__ import annotations

from typing import Any, Literal

import h5py
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import JPEG_START
from vgil_ros.episodes.reading.structure import Stored

Form = Literal["jpeg", "raw", "depth"]
ALLOWED = "(T, H, W, 3) uint8, or JPEGs as (T, P) uint8 or as a row of bytes each"
DEPTH = "(T, H, W) uint16, mm"


def form_of(stored: Stored | None) -> Form:
    """Return how a dataset of images is to be read; None stands for a group in its place.

    Raises:
        VgilError: with what was found and what is allowed, for anything that is not read.
    """
    if stored is None:
        raise VgilError(f"is a group; allowed: images as {ALLOWED}")
    shape, dtype = stored.shape, stored.dtype
    if len(shape) == 1 and _is_bytes(dtype):
        return "jpeg"
    if dtype == np.uint8 and len(shape) == 2:
        return "jpeg"
    if dtype == np.uint8 and len(shape) == 4 and shape[3] == 3:
        return "raw"
    if dtype == np.uint16 and (len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)):
        return "depth"
    raise VgilError(f"holds images of {stored}{_why(shape, dtype)}; allowed: {ALLOWED}")


def jpeg_bytes(value: Any) -> bytes:
    """Return the bytes of a stored JPEG without its padding.

    Raises:
        VgilError: where the row holds a file's name, or text, in place of an image.
    """
    data = value if isinstance(value, bytes) else _bytes(value)
    if data and not data.startswith(JPEG_START) and len(data) < 4096 and data.rstrip(b"\0").isascii():
        text = data.rstrip(b"\0").decode("ascii")
        if text.isprintable() and text:
            raise VgilError(f"holds file names, not images ({text[:60]!r}); allowed: {ALLOWED}")
    return data.rstrip(b"\0")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape")
    return np.asarray(value).tobytes()


def _is_bytes(dtype: np.dtype) -> bool:
    """Whether a value is a run of bytes: a byte string, opaque bytes, or an array of bytes of its own length."""
    if h5py.check_string_dtype(dtype) is not None or (dtype.kind == "V" and dtype.names is None):
        return True
    return bool(h5py.check_vlen_dtype(dtype) == np.uint8)


def _why(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """What is wrong, where it can be told."""
    if dtype.kind == "f":
        return " (floats; store whole numbers 0 to 255)"
    if dtype != np.uint8:
        return ""
    if len(shape) == 4 and shape[1] in (1, 3, 4):
        return " (channels come first)"
    if len(shape) == 3 or (len(shape) == 4 and shape[3] == 1):
        return " (grey)"
    return " (with an alpha channel)" if len(shape) == 4 and shape[3] == 4 else ""
