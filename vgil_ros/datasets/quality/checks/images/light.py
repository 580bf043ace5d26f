"""Light: dark or burnt-out images, and an exposure that is not the other episodes', or changes within one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found, Looked
from vgil_ros.datasets.quality.features.look import Look
from vgil_ros.datasets.quality.robust import FAR, spread_of
from vgil_ros.episodes.checks.findings import Finding

DARK, FLAT, BURNT = 20.0, 2.0, 0.5  # grey levels; grey levels of spread; share of pixels
FLOOR, RANGE_FLOOR = 0.03, 0.06  # of the logarithm of brightness
EXPOSURE = "fix exposure and white balance in the driver, and the light in the room; record it again, or delete it"


def check(data: DataSet) -> Iterator[Found]:
    """Name cameras and episodes with images in which little is to be seen, or whose exposure changed."""
    blind = set()
    for one in data.summaries:
        for camera, look in one.looks.items():
            if (message := _blind(look)) is not None:
                blind.add((one.number, camera))
                finding = Finding("warning", "dark", camera, f"{message}; needed: an image in which something is seen")
                yield Found(
                    one.number, finding, "look for a lens cap, a lamp that was off, or a wrong exposure; delete it"
                )
    for (camera, _), looks in data.cameras.items():
        seen = [(one, look) for one, look in looks if (one.number, camera) not in blind]
        if len(seen) > 1:
            yield from _exposure(camera, seen)


def _blind(look: Look) -> str | None:
    middle = float(np.median(look.brightness))
    if middle < DARK:
        return f"is dark: {middle:.0f} of 255 grey levels on average"
    if float(np.median(look.contrast)) < FLAT:
        return f"is one grey all over: {middle:.0f} of 255"
    if float(np.median(look.white)) > BURNT:
        return f"is burnt out: {float(np.median(look.white)):.0%} of its pixels are white"
    return None


def _exposure(camera: str, looks: Sequence[Looked]) -> Iterator[Found]:
    logs = [np.log(np.maximum(look.brightness, 1.0)) for _, look in looks]
    spread = spread_of(np.array([np.median(one) for one in logs]), FLOOR)
    ranges = spread_of(np.array([np.ptp(one) for one in logs]), RANGE_FLOOR)
    low, high = np.exp(spread.usual())
    most = float(np.exp(ranges.usual()[1]))
    for (one, look), z, change, own in zip(looks, spread.z, ranges.z, logs, strict=True):
        if abs(z) > FAR:
            message = f"brightness is {np.median(look.brightness):.0f} of 255; usual: {low:.0f} to {high:.0f}"
            yield Found(one.number, Finding("warning", "exposure", camera, message), EXPOSURE)
        elif change > FAR:
            rows = (int(look.rows[own.argmin()]), int(look.rows[own.argmax()]))
            message = f"brightness changes {np.exp(np.ptp(own)):.1f} times within the episode; usual: up to {most:.1f}"
            finding = Finding("warning", "exposure", camera, message, ((min(rows), max(rows)),))
            yield Found(one.number, finding, EXPOSURE)
