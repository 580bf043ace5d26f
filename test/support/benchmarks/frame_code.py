"""Images that carry their number, so that every frame that is lost on the way is counted.

The number stands at the top left as black and white blocks of 16x16 pixels, with its complement in the row below: it
survives JPEG, and an image that was torn or mixed with another does not read.
"""

from __future__ import annotations

import cv2
import numpy as np

BITS, BLOCK = 20, 16
HEIGHT, WIDTH = 2 * BLOCK, BITS * BLOCK


def write_number(pixels: np.ndarray, number: int) -> None:
    """Write a number (0 to 2^20 - 1) into an image (H, W, 3) uint8, in place."""
    bits = ((number >> np.arange(BITS)) & 1).astype(np.uint8) * 255
    line = np.repeat(bits, BLOCK)[None, :, None]
    pixels[:BLOCK, :WIDTH] = line
    pixels[BLOCK:HEIGHT, :WIDTH] = 255 - line


def read_number(jpeg: np.ndarray) -> int | None:
    """Return the number in a JPEG (P,) uint8, zero-padded or not; None where it does not read."""
    small = cv2.imdecode(jpeg, cv2.IMREAD_REDUCED_GRAYSCALE_8) if len(jpeg) else None  # a block is 2x2 pixels now
    if small is None or small.shape[0] < HEIGHT // 8 or small.shape[1] < WIDTH // 8:
        return None
    blocks = small[: HEIGHT // 8, : WIDTH // 8].reshape(2, 2, BITS, 2).mean(axis=(1, 3))
    bits, complement = blocks > 127
    if (bits == complement).any():
        return None
    return int((bits.astype(np.int64) << np.arange(BITS)).sum())


def scenes(size: tuple[int, int], count: int, noise: float = 3.0) -> list[np.ndarray]:
    """Return images (H, W, 3) uint8 with detail on every scale and a sensor's noise, as hard for JPEG as a room."""
    rng = np.random.default_rng(0)
    base = np.zeros((*size, 3), np.float32)
    for sigma, weight in ((40, 1.0), (10, 0.4), (3, 0.15), (1, 0.05)):
        layer = cv2.GaussianBlur(rng.standard_normal(base.shape).astype(np.float32), (0, 0), sigma)
        base += weight * layer / layer.std()
    base = cv2.normalize(base, None, 0, 255, cv2.NORM_MINMAX)  # type: ignore[call-overload]
    found = []
    for i in range(count):
        moved = np.roll(base, 7 * i, axis=1) + noise * rng.standard_normal(base.shape, np.float32)
        found.append(np.clip(moved, 0, 255).astype(np.uint8))
    return found
