"""An image in numbers: made small, its light, its colours, how sharp it is. The same for training data and robot."""

from __future__ import annotations

import cv2
import numpy as np

LOOKS = ("brightness", "contrast", "sharpness", "red", "green", "blue", "white")
WIDTH = 160  # of small images
DETAIL_WIDTH = 320  # at which sharpness is measured: finer detail is mostly noise
TINY = (16, 12)  # width, height of a summary
SMOOTH = 0.8  # pixels by which noise is smoothed before sharpness is measured
WHITE = 250  # grey levels from which a pixel is burnt out


def small(image: np.ndarray, width: int = WIDTH) -> np.ndarray:
    """(H, W, 3) uint8 -> (h, width, 3) uint8; as it is where it is no wider."""
    height, wide = image.shape[:2]
    if wide <= width:
        return np.ascontiguousarray(image)
    size = (width, max(1, round(height * width / wide)))
    made: np.ndarray = cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)
    return made


def grey(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB -> (H, W) float32."""
    made: np.ndarray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    return made


def look(image: np.ndarray) -> np.ndarray:
    """(L,) float32 of an image (H, W, 3) uint8 RGB, in the order of `LOOKS`: grey levels, but for sharpness (the
    logarithm of the Laplacian's variance over the image's) and white (a share of the pixels)."""
    detail = grey(small(image, DETAIL_WIDTH))
    levels = grey(small(image))
    edges = float(cv2.Laplacian(cv2.GaussianBlur(detail, (0, 0), SMOOTH), cv2.CV_32F).var())
    contrast = float(levels.std())
    sharpness = float(np.log((edges + 0.05) / (contrast**2 + 1.0)))
    red, green, blue = np.asarray(image, np.float32).reshape(-1, 3).mean(0).tolist()
    white = float((detail >= WHITE).mean())
    return np.array([float(levels.mean()), contrast, sharpness, red, green, blue, white], np.float32)


def summary(image: np.ndarray) -> np.ndarray:
    """(S,) uint8: an image (H, W, 3) uint8 RGB as a tiny grey one, flat."""
    tiny: np.ndarray = cv2.resize(grey(small(image)), TINY, interpolation=cv2.INTER_AREA)
    flat: np.ndarray = np.rint(tiny).astype(np.uint8).reshape(-1)
    return flat


def usual(images: np.ndarray) -> np.ndarray:
    """(h, w, 3) uint8: the median of small images (N, h, w, 3)."""
    made: np.ndarray = np.rint(np.median(images, axis=0)).astype(np.uint8)
    return made


def encode(image: np.ndarray, quality: int = 85) -> bytes:
    """An image (h, w, 3) uint8 RGB as JPEG."""
    done, data = cv2.imencode(".jpg", np.ascontiguousarray(image[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data) if done else b""


def decode(data: np.ndarray) -> np.ndarray | None:
    """What `encode` made of an image, (h, w, 3) uint8 RGB; None where these bytes (n,) uint8 are none."""
    if not len(data):
        return None
    image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return None if image is None else np.ascontiguousarray(image[..., ::-1])
