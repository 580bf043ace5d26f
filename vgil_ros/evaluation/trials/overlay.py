"""Overlay of the wanted start image over the live one, and how far apart they are: for whoever resets a scene."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

STRONG = 30  # of 255, in any colour: a difference that is neither noise nor a shadow
BLUR = 9  # pixels


@dataclass(frozen=True)
class SceneShift:
    """How far a scene is from the wanted one.

    Attributes:
        pixels: by how much the image as a whole is moved, (x, y): a camera that was knocked.
        differing: share of the pixels that clearly differ: things that lie elsewhere.
        place: middle of those, (x, y) in pixels; None where nothing differs.
    """

    pixels: tuple[float, float]
    differing: float
    place: tuple[float, float] | None

    def words(self) -> str:
        """In words."""
        moved = float(np.hypot(*self.pixels))
        where = "" if self.place is None else f" around ({self.place[0]:.0f}, {self.place[1]:.0f})"
        return f"{self.differing:.1%} of the image differs{where}; moved by {moved:.1f} px"


def measure_shift(wanted: np.ndarray, live: np.ndarray) -> SceneShift:
    """Measure how far a live image is from the wanted one.

    The shift of the whole is the peak of the phase correlation [Kuglin and Hines 1975].

    Args:
        wanted, live: (H, W, 3) uint8 RGB; another size of the live one is brought to the wanted one's.
    """
    fitted = _fitted(wanted, live)
    one, other = _grey(wanted), _grey(fitted)
    (x, y), _ = cv2.phaseCorrelate(one, other, cv2.createHanningWindow(one.shape[::-1], cv2.CV_32F))
    smooth = (cv2.GaussianBlur(image, (BLUR, BLUR), 0) for image in (wanted, fitted))
    apart = cv2.absdiff(*smooth).max(2) > STRONG
    rows, columns = np.nonzero(apart)
    place = (float(columns.mean()), float(rows.mean())) if len(rows) else None
    return SceneShift((float(x), float(y)), float(apart.mean()), place)


def blend(wanted: np.ndarray, live: np.ndarray, words: str = "") -> np.ndarray:
    """Return both images in one, (H, W, 3) uint8 RGB, with words at the bottom: what is double is not where it was."""
    mixed = cv2.addWeighted(wanted, 0.5, _fitted(wanted, live), 0.5, 0.0)
    if words:
        height = mixed.shape[0]
        scale = max(0.35, mixed.shape[1] / 1280)
        for colour, thickness in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(mixed, words, (6, height - 8), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thickness, cv2.LINE_AA)
    return mixed


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)


def _fitted(wanted: np.ndarray, live: np.ndarray) -> np.ndarray:
    if live.shape == wanted.shape:
        return live
    return cv2.resize(live, wanted.shape[1::-1], interpolation=cv2.INTER_AREA)
