"""Sheet of thumbnails that shows several rollouts, a row each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.evaluation.metrics import Rollout

THUMB = (120, 160)  # pixels, height and width
THUMBS = 8  # images of a rollout on the sheet
CAPTION, GAP = 20, 3  # pixels
GOOD, BAD = (30, 140, 60), (180, 40, 40)


def thumbnails(images: list[np.ndarray]) -> list[np.ndarray]:
    """A few of a rollout's images (H, W, 3), evenly from its beginning to its end."""
    if not images:
        return []
    return [images[round(at)] for at in np.linspace(0, len(images) - 1, THUMBS).tolist()]


class ThumbnailSheet:
    """A row for each rollout: images from its beginning to its end, with seed, result and reward."""

    def __init__(self) -> None:
        self._rows: list[np.ndarray] = []

    def add(self, rollout: Rollout, images: list[np.ndarray]) -> None:
        """Add a rollout, of whose images (H, W, 3) uint8 RGB a few are chosen."""
        height, width = THUMB
        row = np.full((height + CAPTION, THUMBS * width, 3), 255, np.uint8)
        for place, image in enumerate(thumbnails(images)):
            small = cv2.resize(image, (width - GAP, height), interpolation=cv2.INTER_AREA)
            row[CAPTION:, place * width : (place + 1) * width - GAP] = small
        words = f"seed {rollout.seed}: {'success' if rollout.success else 'no success'}"
        words += f", highest reward {rollout.highest_reward:g}, return {rollout.ret:.0f}"
        colour = GOOD if rollout.success else BAD
        cv2.putText(row, words, (6, CAPTION - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)
        self._rows.append(row)

    def save(self, path: Path) -> Path:
        """Write a PNG.

        Raises:
            VgilError: without a rollout, or where it cannot be written.
        """
        if not self._rows:
            raise VgilError("a thumbnail sheet needs at least one rollout; found none")
        if not cv2.imwrite(str(path), np.vstack(self._rows)[..., ::-1]):
            raise VgilError(f"{path}: cannot be written")
        return path
