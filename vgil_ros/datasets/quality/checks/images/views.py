"""Views: a camera that was moved, or that sees something else than in the other episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Looked
from vgil_ros.datasets.quality.features.look import SIZE
from vgil_ros.datasets.quality.robust import spread_of
from vgil_ros.episodes.checks.findings import Finding

CANDIDATES, KEPT = 16, 128  # for the usual view; images of which it is made
TEXTURE = 3.0  # grey levels of spread, below which no shift can be seen
SHIFTED, SHIFT_FLOOR, BETTER = 1.2, 0.2, 0.03  # pixels of 64 across; correlation gained by shifting back
STANDS = 0.4  # of the episodes in which a camera that stands is where it was, also when it was moved half-way
UNLIKE, UNLIKE_FLOOR = 0.35, 0.04  # of correlation with the usual view
EDGE = 6  # pixels left out where an image is shifted


def check(data: DataSet) -> Iterator[Found]:
    """Name episodes in which what stands still lies elsewhere in the image than in most."""
    for (camera, size), looks in data.cameras.items():
        usual = usual_view(looks)
        if float(usual.std()) < TEXTURE:
            continue
        shifts = np.array([shift_of(usual, look.usual.astype(np.float32)) for _, look in looks])
        alike = np.array([correlation(usual, look.usual.astype(np.float32)) for _, look in looks])
        far = np.hypot(*shifts.T)
        still = float(np.mean(far < SHIFTED)) >= STANDS  # else the camera rides on the arm
        most = SHIFTED if still else max(float(spread_of(far, SHIFT_FLOOR).usual()[1]), SHIFTED)
        least = float(spread_of(alike, UNLIKE_FLOOR).usual()[0])
        least = min(least, float(np.median(alike)) - UNLIKE)
        scale = size[1] / SIZE[0]
        for (one, _), shift, same in zip(looks, far, alike, strict=True):
            if shift > most:
                message = f"the view is shifted by {shift * scale:.0f} pixels; usual: up to {most * scale:.0f}"
            elif same < least:
                message = f"the view has a correlation of {same:.2f} with the usual one; usual: {least:.2f} or more"
            else:
                continue
            advice = "put the camera back as it was and mark its place; train from one view, or record all of it again"
            yield Found(one.number, Finding("warning", "camera moved", camera, message), advice)


def usual_view(looks: Sequence[Looked]) -> np.ndarray:
    """(48, 64) float32: the median of the largest group of images that are alike."""
    images = np.stack([look.usual for _, look in looks]).astype(np.float32)
    places = np.unique(np.linspace(0, len(images) - 1, CANDIDATES).astype(int))
    apart = np.stack([np.abs(images - images[place]).mean(axis=(1, 2)) for place in places])
    middle = np.median(apart, axis=1)
    best = int(middle.argmin())
    alike = np.flatnonzero(apart[best] <= middle[best])[:KEPT]
    view: np.ndarray = np.median(images[alike], axis=0)
    return view.astype(np.float32)


def shift_of(usual: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """By how many pixels an image is shifted; 0 where shifting it back does not make it more like the usual one."""
    window = cv2.createHanningWindow(SIZE, cv2.CV_32F)
    (dx, dy), _ = cv2.phaseCorrelate(usual - usual.mean(), image - image.mean(), window)
    back = cv2.warpAffine(
        image, np.array([[1, 0, -dx], [0, 1, -dy]], np.float32), SIZE, borderMode=cv2.BORDER_REPLICATE
    )
    inner = (slice(EDGE, -EDGE), slice(EDGE, -EDGE))
    if correlation(usual[inner], back[inner]) < correlation(usual[inner], image[inner]) + BETTER:
        return 0.0, 0.0
    return dx, dy


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of two images, -1 to 1; 0 where one of them is one grey."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0
