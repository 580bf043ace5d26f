"""Start images of a trial: what the scene is to look like when an attempt begins, and the overlay that shows it."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.episodes.naming import episodes_in
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.trials.overlay import SceneShift, blend, measure_shift
from vgil_ros.nodes.trial.robot import TrialRobot

EVERY_S = 0.4
FILE = "overlay.jpg"


def read_starts(path: Path | None, camera: str) -> list[np.ndarray]:
    """The wanted start images, (H, W, 3) uint8 RGB each: of an image, an episode, or each episode of a folder.

    Raises:
        VgilError: it holds none of this camera.
    """
    if path is None:
        return []
    if path.suffix.lower() in (".png", ".jpg", ".jpeg"):
        image = cv2.imread(str(path))
        if image is None:
            raise VgilError(f"--start-images {path}: cannot be read; allowed: a PNG or JPEG file, or episodes")
        return [cv2.cvtColor(image, cv2.COLOR_BGR2RGB)]
    files = episodes_in(path) if path.is_dir() else [path]
    found = []
    for file in files:
        with EpisodeReader(file) as episode:
            if camera not in episode.camera_names:
                raise VgilError(f"--start-images {file}: has no camera '{camera}'; allowed: {episode.camera_names}")
            found.append(np.asarray(episode.image(camera, 0)))
    if not found:
        raise VgilError(f"--start-images {path}: found no episodes; allowed: an image, an episode, a folder of them")
    return found


class StartGuide:
    """Keeps each block's start image, and shows it over the live one while the scene is put back.

    Args:
        folder: of the trial; the overlay is its `overlay.jpg`, the images that were kept are in `starts`.
        robot: whose camera it is.
        wanted: start images, one after another for the blocks; empty: that of each block's first attempt.
    """

    def __init__(self, folder: Path, robot: TrialRobot, wanted: list[np.ndarray]) -> None:
        self._folder, self._robot, self._wanted = folder, robot, wanted
        self._next_s = 0.0
        self._block: tuple[int, np.ndarray | None] = (-1, None)
        self.shift: SceneShift | None = None

    def _path(self, block: int) -> Path:
        return self._folder / "starts" / f"block_{block}.png"

    def wanted(self, block: int) -> np.ndarray | None:
        """What a block's attempts are to begin with; None before its first one, where nothing else says it."""
        if self._wanted:
            return self._wanted[block % len(self._wanted)]
        if self._block[0] != block or self._block[1] is None:
            image = cv2.imread(str(self._path(block))) if self._path(block).is_file() else None
            self._block = (block, None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
        return self._block[1]

    def keep(self, block: int, live: np.ndarray | None) -> None:
        """An attempt began with this image: the block's others begin with it, where there is none yet."""
        if live is None or self._path(block).is_file():
            return
        self._path(block).parent.mkdir(exist_ok=True)
        _write(self._path(block), live)

    def look(self, block: int) -> None:
        """Show the overlay, now and then."""
        if time.monotonic() < self._next_s:
            return
        self._next_s = time.monotonic() + EVERY_S
        wanted, live = self.wanted(block), self._robot.live()
        self.shift = None
        if live is None:
            return
        if wanted is not None:
            self.shift = measure_shift(wanted, live)
            live = blend(wanted, live, self.shift.words())
        self._robot.show(live)
        _write(self._folder / FILE, live)


def _write(path: Path, image: np.ndarray) -> None:
    """Write an image file whole: a viewer may read it at any moment."""
    _, data = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    partial = path.with_name(f".{path.name}")
    partial.write_bytes(data.tobytes())
    partial.replace(path)
