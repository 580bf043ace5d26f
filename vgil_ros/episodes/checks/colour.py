"""Colours: what the file states, and whether the images look as if red and blue were swapped.

An image alone does not prove its channel order. Statements that contradict each other are errors; the look of a
image is never more than a hint.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.reader import EpisodeReader

RATIO = 1.25  # mean blue over mean red: indoor light and wood, skin, cardboard are warmer than that
SAMPLES = 5


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Hold statements against each other, then look at a few images of each camera."""
    order = episode.attrs.get("color_order")
    if order not in (None, "rgb"):
        yield Finding("error", "colour", "color_order", f"is '{order}'; allowed: 'rgb'")
    for name in scan.lengths:
        stated = episode.stated_order(name)
        if stated is None:
            message = "no word on the order of colours in its JPEGs; read as the peers write them (imdecode gives RGB)"
            yield Finding("info", "colour", name, message)
        elif stated == "rgb":
            message = (
                "its JPEGs are the camera's own: act-plus-plus' and Cobot Magic's loaders swap red and blue;"
                " `vgil episodes convert --to mobile_aloha` writes theirs"
            )
            yield Finding("info", "colour", name, message)
        elif stated != "bgr":
            yield Finding("error", "colour", name, f"jpeg_order is '{stated}'; allowed: 'bgr' or 'rgb'")
    warmth = {name: _blue_over_red(episode, name) for name in episode.camera_names}
    cold = [name for name, value in warmth.items() if value > RATIO]
    warm = [name for name, value in warmth.items() if value < 1 / RATIO]
    if cold and warm:
        yield Finding(
            "warning", "colour", ", ".join(cold), f"much bluer than {', '.join(warm)}: red and blue may be swapped"
        )
    elif cold:
        yield Finding("info", "colour", ", ".join(cold), "more blue than red: compare `vgil episodes plot` by eye")


def _blue_over_red(episode: EpisodeReader, name: str) -> float:
    means = []
    for row in np.unique(np.linspace(0, episode.rows - 1, SAMPLES).astype(int)) if episode.rows else ():
        try:
            means.append(episode.image(name, int(row)).reshape(-1, 3).mean(axis=0))
        except EpisodeError:
            continue  # the JPEGs' check names it
    if not means:
        return 1.0
    red, _, blue = np.mean(means, axis=0)
    return float((blue + 1.0) / (red + 1.0))
