"""How a view lies over another one: shifted by how much, turned by how much, and how alike both are."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan2, degrees, radians
from typing import Any

import cv2
import numpy as np

TURNS = (0.0, 4.0, -4.0, 9.0, -9.0)  # degrees from which the search begins
STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-4)
BLUR = 5  # pixels: what is smaller is smoothed before the search
EDGE = 0.08  # of the width, left out where views are compared
SURE = 0.9  # correlation from which on no further search is needed
FLAT = 3.0  # grey levels of spread, below which nothing can be laid over anything


@dataclass(frozen=True)
class Placement:
    """Where a view lies, against a usual one.

    Attributes:
        dx, dy: of its middle, shares of the width, to the right and down.
        turn: degrees, clockwise as seen.
        before, after: correlation of both views as they are, and with the view laid back.
    """

    dx: float
    dy: float
    turn: float
    before: float
    after: float

    @property
    def shift(self) -> float:
        """How far its middle lies from where it was, as a share of the width."""
        return float(np.hypot(self.dx, self.dy))


def place(usual: np.ndarray, image: np.ndarray) -> Placement | None:
    """Lay a view over the usual one, by the enhanced correlation coefficient (Evangelidis and Psarakis, 2008), which
    light does not matter to.

    Args:
        usual, image: (h, w) float32, grey, of the same size.

    Returns:
        Where it lies; None where one of them shows nothing to go by.
    """
    if min(float(usual.std()), float(image.std())) < FLAT:
        return None
    best = Placement(0.0, 0.0, 0.0, before := likeness(usual, image), before)
    for turn in TURNS:
        found = _search(usual, image, turn, before)
        if found is not None and found.after > best.after + 1e-3:
            best = found
        if best.after > SURE:
            break
    return best


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Correlation of the inner parts of two grey images (h, w), -1 to 1; 0 where one of them is one grey."""
    edge = round(EDGE * a.shape[1])
    one, other = (x[edge:-edge, edge:-edge] - x[edge:-edge, edge:-edge].mean() for x in (a, b))
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / size if size > 0 else 0.0


def _search(usual: np.ndarray, image: np.ndarray, turn: float, before: float) -> Placement | None:
    height, width = usual.shape
    middle = np.array([(width - 1) / 2, (height - 1) / 2])
    warp = _rotation(turn, middle)
    turned = _laid_back(image, warp)
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(usual - usual.mean(), turned - turned.mean(), window)
    warp[:, 2] += warp[:, :2] @ np.array([dx, dy], np.float32)
    try:
        found: Any = cv2.findTransformECC  # its stubs do not know of the blur
        _, warp = found(usual, image, warp, cv2.MOTION_EUCLIDEAN, STEPS, None, BLUR)
    except cv2.error:  # it does not converge from here
        return None
    off = (warp[:, :2] @ middle + warp[:, 2] - middle) / width
    angle = degrees(atan2(float(warp[1, 0]), float(warp[0, 0])))
    after = likeness(usual, _laid_back(image, warp))
    return Placement(float(off[0]), float(off[1]), angle, before, after)


def _rotation(turn: float, middle: np.ndarray) -> np.ndarray:
    """(2, 3) float32: a turn about the middle, degrees."""
    angle = radians(turn)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.column_stack([matrix, middle - matrix @ middle]).astype(np.float32)


def _laid_back(image: np.ndarray, warp: np.ndarray) -> np.ndarray:
    height, width = image.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    made: np.ndarray = cv2.warpAffine(image, warp, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return made
