"""Images to bytes and back.

Colour: arrays are RGB. An RGB array is handed to `imencode`, which takes it for BGR, so that `imdecode` returns RGB:
the convention of ALOHA's compressed episodes (`jpeg_order` "bgr"). A camera's own JPEG is an ordinary one ("rgb").
"""

from __future__ import annotations

import struct
from typing import Literal

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.frame import COLOR_ENCODINGS, DEPTH_FILES, FILE_ENCODINGS, JPEG_START, Frame, FrameError, file_size

JpegOrder = Literal["bgr", "rgb"]
LARGEST = 8192  # pixels either way: as in a contract

# YUV is taken as ITU-R BT.601 in studio range, as webcams send it. 8UC3 names no order: it is OpenCV's type, and
# OpenCV's order is BGR. A name of OpenCV's Bayer codes is that of the second row's second and third pixel.
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "8UC3": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "mono16": cv2.COLOR_GRAY2RGB,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "nv12": cv2.COLOR_YUV2RGB_NV12,
    "nv21": cv2.COLOR_YUV2RGB_NV21,
    "bayer_rggb": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg": cv2.COLOR_BayerGB2RGB,
}
_DEPTH_HEADER = struct.Struct("<iff")  # compressed_depth_image_transport's ConfigHeader: format, then two parameters


def to_rgb(image: Frame | np.ndarray) -> np.ndarray:
    """Return an image as (H, W, 3) uint8 RGB.

    Values of 16 bits are brought to 8 by 255 / 65535. What a camera sends as less than 16 bits in 16 comes out dark.

    Raises:
        VgilError: for an encoding that is not one of colour, or an image file that does not decode.
    """
    if isinstance(image, np.ndarray):
        return image
    if image.encoding in FILE_ENCODINGS:
        return decode(np.frombuffer(image.data, np.uint8), "rgb")
    if image.encoding not in COLOR_ENCODINGS:
        raise VgilError(f"encoding is '{image.encoding}'; allowed: {[*COLOR_ENCODINGS, *FILE_ENCODINGS]}")
    pixels = image.array()
    if image.encoding == "rgb8":
        return pixels
    if image.encoding == "nv24":
        return _nv24_to_rgb(pixels)
    if image.encoding.startswith("bayer_"):
        pixels = cv2.demosaicing(np.ascontiguousarray(pixels), _TO_RGB[image.encoding.rstrip("168")])
    else:
        pixels = cv2.cvtColor(np.ascontiguousarray(pixels), _TO_RGB[image.encoding])
    return pixels if pixels.dtype == np.uint8 else cv2.convertScaleAbs(pixels, alpha=255 / 65535)


def _nv24_to_rgb(pixels: np.ndarray) -> np.ndarray:
    """(3 H, W): luminance, then two bytes of colour a pixel. OpenCV has no code for it: each pixel becomes a pair."""
    height, width = pixels.shape[0] // 3, pixels.shape[1]
    colour = pixels[height:].reshape(height, width, 2)
    pairs = np.stack([pixels[:height], colour[..., 0], pixels[:height], colour[..., 1]], axis=-1)
    return cv2.cvtColor(pairs.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_YUY2)[:, ::2]


def to_millimetres(image: Frame | np.ndarray) -> np.ndarray:
    """Return a depth image as (H, W) uint16 mm; what is not known in metres (NaN, inf) or lies beyond is 0.

    Raises:
        VgilError: for a compressed one that does not decode.
    """
    if isinstance(image, Frame) and image.encoding in DEPTH_FILES:
        pixels = _decode_depth(image)
    else:
        pixels = image if isinstance(image, np.ndarray) else image.array()
    if pixels.dtype == np.uint16:
        return pixels
    millimetres = np.rint(pixels.astype(np.float32) * 1000.0)
    known = np.isfinite(millimetres) & (millimetres >= 0) & (millimetres <= 65535)
    return np.where(known, millimetres, 0).astype(np.uint16)


def _decode_depth(image: Frame) -> np.ndarray:
    """(H, W): uint16 mm, or float32 m that came as `A / (value - B)`, 0 for unknown.

    Source: ros-perception/image_transport_plugins, compressed_depth_image_transport, ConfigHeader.
    """
    pixels = cv2.imdecode(np.frombuffer(image.data, np.uint8)[_DEPTH_HEADER.size :], cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape != (image.height, image.width):
        raise VgilError(f"{len(image.data)} bytes that do not decode as a compressed depth image of 16 bits")
    if image.encoding == "compressedDepth 16UC1":
        return pixels
    _, scale, offset = _DEPTH_HEADER.unpack_from(image.data)
    with np.errstate(divide="ignore"):
        metres = np.float32(scale) / (pixels.astype(np.float32) - np.float32(offset))
    return np.where(pixels == 0, np.float32(np.nan), metres)


def encode(image: Frame | np.ndarray, quality: int) -> bytes:
    """Return an image as JPEG in the peers' order ("bgr").

    A grey frame stays grey: its JPEG decodes to three equal channels and costs a third.
    """
    pixels = image.array() if isinstance(image, Frame) and image.encoding == "mono8" else to_rgb(image)
    done, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise VgilError(f"an image of shape {pixels.shape} could not be encoded as JPEG")
    return data.tobytes()


_REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}


def decode(row: np.ndarray, order: JpegOrder, reduced: int = 1) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of a JPEG (P,) uint8, zero-padded or not.

    Args:
        reduced: 1, 2 or 4 times, which is the quicker, to look at.

    A PNG is read as what it says it is, whatever order the file states for its JPEGs: nobody writes swapped ones.

    Raises:
        VgilError: where it does not decode.
    """
    try:
        height, width = file_size(row.data)
        if max(height, width) > LARGEST:
            raise VgilError(f"a JPEG of {height}x{width}; allowed: up to {LARGEST} pixels either way")
        pixels = cv2.imdecode(row, _REDUCED[reduced])
    except (FrameError, cv2.error):
        pixels = None
    if pixels is None:
        raise VgilError(f"{len(row)} bytes that do not decode as JPEG")
    swapped = order == "bgr" and row[:2].tobytes() == JPEG_START
    return pixels if swapped else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
