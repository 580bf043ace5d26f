"""Images on the wire: scaled with a border as OpenPI's models want them, and as JPEG where a server takes it."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from vgil_ros.policies.remote.errors import WireError

MOST_PIXELS = 4096 * 4096  # of a JPEG whose size nobody said
_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # JPEG's markers that tell height and width
_BARE = {0x01, *range(0xD0, 0xD9)}  # those without a length


def resize_with_pad(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale an image (H, W, 3) uint8 into (height, width, 3) without distortion; what is left over is black.

    Bilinear, and smoothed where it shrinks, as Pillow's and OpenPI's.
    """
    rows, columns = image.shape[:2]
    if (rows, columns) == (height, width):
        return image
    ratio = max(columns / width, rows / height)
    inner = max(1, int(rows / ratio)), max(1, int(columns / ratio))
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    scaled = F.interpolate(pixels, inner, mode="bilinear", antialias=True, align_corners=False)
    out = np.zeros((height, width, 3), np.uint8)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    out[top : top + inner[0], left : left + inner[1]] = scaled[0].permute(1, 2, 0).numpy()
    return out


def to_jpeg(image: np.ndarray, quality: int) -> bytes:
    """Encode an image (H, W, 3) uint8 RGB."""
    done, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise WireError(f"an image of shape {image.shape} cannot be made a JPEG; allowed: (H, W, 3) uint8")
    return encoded.tobytes()


def from_jpeg(data: bytes, size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode a JPEG to (H, W, 3) uint8 RGB. What it says of its size is looked at before memory is taken.

    Args:
        data: the file.
        size: (height, width) that it must have.

    Raises:
        WireError: it is no JPEG, or of another size.
    """
    found = jpeg_size(data)
    if found is None:
        raise WireError(f"an image of {len(data)} bytes is no JPEG; allowed: a JPEG, or an array (H, W, 3) uint8")
    if size is not None and found != size:
        raise WireError(f"a JPEG is {found[0]}x{found[1]}; allowed: {size[0]}x{size[1]}")
    if found[0] * found[1] > MOST_PIXELS:
        raise WireError(f"a JPEG is {found[0]}x{found[1]}; allowed: up to {MOST_PIXELS} pixels")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise WireError(f"a JPEG of {len(data)} bytes cannot be read; allowed: a whole one")
    return np.ascontiguousarray(pixels[..., ::-1])


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) from a JPEG's header; None where there is none."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _BARE:
            at += 2
        elif marker in _SIZES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            return (height, width) if height and width else None
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None
