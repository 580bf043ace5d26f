"""A folder of episodes as a table: a glance at each file. Little is imported: a thousand files take a second or two."""

from __future__ import annotations

import gc
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.labels import tags_of, verdict_of
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reading.glance import Glance, glance

MANY, SHARE = 200, 32  # files from which processes are worth their start; that one takes at a time
BESIDE = ("operator", "object", "scene", "note")


@dataclass(frozen=True)
class Line:
    """One file in a table. What a file does not tell is None.

    Attributes:
        problems: what is wrong at a glance (`check` looks closer).
        label: success, failure or unsure.
        tags: given by `vgil episodes label`.
        operator, object, scene, note: in the user's words.
    """

    file: str
    robot: str | None = None
    layout: str | None = None
    task: str | None = None
    rows: int | None = None
    seconds: float | None = None
    success: bool | None = None
    cameras: tuple[str, ...] = ()
    bytes: int = 0
    problems: tuple[str, ...] = ()
    label: str | None = None
    tags: tuple[str, ...] = ()
    operator: str | None = None
    object: str | None = None
    scene: str | None = None
    note: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return dict(vars(self))


def list_episodes(folder: Path, workers: int = 1) -> list[Line]:
    """Return a line for each episode of a folder, each aborted one apart, and each `.part` that was left behind.

    Args:
        workers: processes among which many files are shared; they are forked, so only for who runs no threads.

    Raises:
        EpisodeError: where the folder is missing.
    """
    if not folder.is_dir():
        raise EpisodeError(f"{folder}: no such folder")
    files = [(path, path.name) for path in naming.episodes_in(folder)]
    files += [(path, f"{naming.ABORTED_FOLDER}/{path.name}") for path in naming.aborted_in(folder)]
    lines = _lines(files, workers)
    return lines + [line_of_part(part) for part in naming.parts_in(folder)]


def line_of_part(part: Path) -> Line:
    """Return the line of a file that is being recorded, or was left behind; nothing in it is read."""
    problem = "not finished: being recorded, or its writer was killed (`vgil episodes repair`)"
    return Line(part.name, bytes=part.stat().st_size, problems=(problem,))


def _lines(files: Sequence[tuple[Path, str]], workers: int) -> list[Line]:
    if workers > 1 and len(files) >= MANY:
        try:
            # gc.freeze: what was imported is not looked through again and again, which takes a third of the time
            with ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), gc.freeze) as pool:
                return list(pool.map(line_of, *zip(*files, strict=True), chunksize=SHARE))
        except (OSError, BrokenExecutor):  # no room for processes, or a file that ends its own
            pass
    return [line_of(path, name) for path, name in files]


def line_of(path: Path, name: str, seen: Glance | None = None) -> Line:
    """Return the line of one file.

    Args:
        path: the file.
        name: what the line calls it.
        seen: a glance at it, where there was one.

    Raises:
        OSError: where it is gone.
    """
    size = path.stat().st_size
    seen = seen or glance(path)
    if seen is not None:
        return _told(name, size, "vgil", seen.attrs, seen.rows, seen.cameras, ())
    from vgil_ros.episodes.reader import EpisodeReader  # lazily: it is for files that are not as ours are left

    try:
        with naming_file(path), EpisodeReader(path) as episode:
            cameras = episode.camera_names + episode.depth_names
            unusable = tuple(f"{camera} {reason}" for camera, reason in episode.unusable.items())
            return _told(name, size, episode.layout, episode.attrs, episode.rows, cameras, unusable)
    except EpisodeError as error:
        return Line(name, bytes=size, problems=(str(error).removeprefix(f"{path}: "),))


def _told(
    name: str,
    size: int,
    layout: str,
    attrs: Mapping[str, Any],
    rows: int,
    cameras: tuple[str, ...],
    unusable: tuple[str, ...],
) -> Line:
    """The line of an episode of these attributes."""
    problems = [f"aborted: {attrs['aborted']}"] if "aborted" in attrs else []
    problems += [key for key in ("stopped", "repaired") if key in attrs]
    problems += [f"{n} {key}" for key in ("held", "dropped") if (n := attrs.get(f"rows_{key}", 0))]
    warnings = np.atleast_1d(attrs.get("warnings", ()))
    problems += [f"{len(warnings)} warnings"] if len(warnings) else []
    rate, success = attrs.get("rate_hz"), attrs.get("success")
    return Line(
        name,
        attrs.get("robot"),
        layout,
        attrs.get("task"),
        rows,
        rows / rate if rate else None,
        success,
        cameras,
        size,
        (*problems, *unusable),
        verdict_of(attrs, success),
        tags_of(attrs),
        **{key: str(attrs[key]) for key in BESIDE if key in attrs},
    )
