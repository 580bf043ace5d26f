"""A folder of episodes as a table, and one episode in words."""

from __future__ import annotations

import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.episodes import naming
from vgil_ros.episodes.curation.labels import tags_of, verdict_of
from vgil_ros.episodes.errors import EpisodeError, naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.glance import glance

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
        return asdict(self)


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
    for part in naming.parts_in(folder):
        problem = "not finished: being recorded, or its writer was killed (`vgil episodes repair`)"
        lines.append(Line(part.name, bytes=part.stat().st_size, problems=(problem,)))
    return lines


def _lines(files: Sequence[tuple[Path, str]], workers: int) -> list[Line]:
    if workers > 1 and len(files) >= MANY:
        try:
            with ProcessPoolExecutor(workers, multiprocessing.get_context("fork")) as pool:
                return list(pool.map(_line, *zip(*files, strict=True), chunksize=SHARE))
        except (OSError, BrokenExecutor):  # no room for processes, or a file that ends its own
            pass
    return [_line(path, name) for path, name in files]


def _line(path: Path, name: str) -> Line:
    size = path.stat().st_size
    seen = glance(path)
    if seen is not None:
        return _told(name, size, "vgil", seen.attrs, seen.rows, seen.cameras, ())
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


def describe(episode: EpisodeReader) -> dict[str, Any]:
    """Return what an episode says of itself: its attributes, datasets, ranges of joints, cameras."""
    names = episode.joint_names or tuple(f"column {i}" for i in range(episode.qpos.shape[-1]))
    attributes = {key: value for key, value in episode.attrs.items() if key != "contract"}
    ended = {} if episode.aborted is None else {"aborted": episode.aborted}  # before all the rest
    return {
        "file": str(episode.path),
        **ended,
        "layout": episode.layout,
        "rows": episode.rows,
        "seconds": episode.seconds,
        "action_alignment": episode.action_alignment,
        "attributes": {key: _plain(value) for key, value in attributes.items()},
        "cameras": {name: _camera(episode, name) for name in episode.camera_names},
        "depth": list(episode.depth_names),
        "vectors": {
            name: [_range(values, i) for i in range(values.shape[1])]
            for name, values in ((name, episode.vector(name)) for name in episode.vector_names)
        },
        "joints": {
            name: {"qpos": _range(episode.qpos, i), "action": _range(episode.action, i)} for i, name in enumerate(names)
        },
        "datasets": {
            name: f"{stored.dtype}{stored.shape}" for name, stored in sorted(episode.structure.datasets.items())
        },
    }


def _camera(episode: EpisodeReader, name: str) -> dict[str, Any]:
    if reason := episode.unusable.get(episode.place(name)):
        return {"unusable": reason}
    jpeg = episode.is_jpeg(name)
    try:
        size = list(episode.image(name, 0).shape[:2]) if episode.rows else None
    except EpisodeError as error:
        return {"unusable": str(error).removeprefix(f"{episode.path}: ")}
    return {"size": size, "stored": "jpeg" if jpeg else "raw", "jpeg_order": episode.jpeg_order(name) if jpeg else None}


def _range(values: np.ndarray, column: int) -> list[float] | None:
    if values.ndim != 2 or column >= values.shape[1] or not len(values):
        return None
    return [float(values[:, column].min()), float(values[:, column].max())]


def _plain(value: Any) -> Any:
    if isinstance(value, (np.ndarray, tuple, list)):
        return [_plain(x) for x in (value.tolist() if isinstance(value, np.ndarray) else value)]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, (str, int, float, type(None))) else repr(value)
