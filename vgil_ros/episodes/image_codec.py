"""Images to bytes and back.

Colour: arrays are RGB. An RGB array is handed to `imencode`, which takes it for BGR, so that `imdecode` returns RGB:
the convention of ALOHA's compressed episodes (`jpeg_order` "bgr"). A camera's own JPEG is an ordinary one ("rgb").
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import COLOR_ENCODINGS, Frame, jpeg_size

JpegOrder = Literal["bgr", "rgb"]
START = b"\xff\xd8"
LARGEST = 8192  # pixels either way: as in a contract
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")

_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
}


def to_rgb(image: Frame | np.ndarray) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 RGB.

    Raises:
        VgilError: for an encoding that is not one of colour, or a JPEG that does not decode.
    """
    if isinstance(image, np.ndarray):
        return image
    if image.encoding == "jpeg":
        return decode(np.frombuffer(image.data, np.uint8), "rgb")
    if image.encoding not in COLOR_ENCODINGS:
        raise VgilError(f"encoding is '{image.encoding}'; allowed: {[*COLOR_ENCODINGS, 'jpeg']}")
    pixels = image.array()
    return pixels if image.encoding == "rgb8" else cv2.cvtColor(pixels, _TO_RGB[image.encoding])


def to_millimetres(image: Frame | np.ndarray) -> np.ndarray:
    """Return a depth image as (H, W) uint16 mm; what a 32FC1 frame does not know (NaN, inf) or lies beyond is 0."""
    pixels = image if isinstance(image, np.ndarray) else image.array()
    if pixels.dtype == np.uint16:
        return pixels
    millimetres = np.rint(pixels.astype(np.float32) * 1000.0)
    known = np.isfinite(millimetres) & (millimetres >= 0) & (millimetres <= 65535)
    return np.where(known, millimetres, 0).astype(np.uint16)


def encode(image: Frame | np.ndarray, quality: int) -> bytes:
    """Return an image as JPEG in the peers' order ("bgr").

    A grey frame stays grey: its JPEG decodes to three equal channels and costs a third.
    """
    pixels = image.array() if isinstance(image, Frame) and image.encoding == "mono8" else to_rgb(image)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise VgilError(f"an image of shape {pixels.shape} could not be encoded as JPEG")
    return data.tobytes()


def decode(row: np.ndarray, order: JpegOrder) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a JPEG (P,) uint8, zero-padded or not.

    Raises:
        VgilError: where it does not decode.
    """
    height, width = jpeg_size(row.data) if row[:2].tobytes() == START else (0, 0)
    if max(height, width) > LARGEST:
        raise VgilError(f"a JPEG of {height}x{width}; allowed: up to {LARGEST} pixels either way")
    try:
        pixels = cv2.imdecode(row, cv2.IMREAD_COLOR) if height else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise VgilError(f"{len(row)} bytes that do not decode as JPEG")
    return pixels if order == "bgr" else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
