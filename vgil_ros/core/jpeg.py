"""JPEG files from the outside: what their header says, without decoding them."""

from __future__ import annotations

from vgil_ros.core.errors import VgilError


def jpeg_size(jpeg: memoryview | bytes) -> tuple[int, int]:
    """Return (height, width) from a JPEG's frame header.

    Raises:
        VgilError: where there is no such header. Source: ITU-T T.81, B.2.2.
    """
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            break
        marker = jpeg[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (jpeg[at + 5] << 8) | jpeg[at + 6], (jpeg[at + 7] << 8) | jpeg[at + 8]
        at += 1 if marker == 0xFF else 2 + ((jpeg[at + 2] << 8) | jpeg[at + 3])
    raise VgilError("a JPEG without a frame header (SOF): cut off or damaged")
