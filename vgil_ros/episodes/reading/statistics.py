"""Statistics of one episode: of its numbers, its ticks, its streams and its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vgil_ros.core.streams import Flag
from vgil_ros.episodes.errors import EpisodeError
from vgil_ros.episodes.view import Episode

IMAGES = 64  # of each camera, evenly spread
KINDS = {"interpolated": Flag.INTERPOLATED, "nearest": Flag.NEAREST, "held": Flag.HELD, "latest": Flag.LATEST}
Progress = Callable[[Iterable[int]], Iterable[int]]


def statistics(episode: Episode, progress: Progress = iter) -> dict[str, Any]:
    """Return {"columns", "ticks", "streams", "cameras"}, each by name; None where nothing is known.

    Columns: least, largest, mean and standard deviation of each number that a row has, in the file's own units; values
    that were not measured (NaN) are counted apart. Streams: the skew (ms) of the samples from their ticks, and how many
    came how. Cameras: mean and standard deviation of the pixels of up to 64 images, by channel RGB (0 to 255).

    Args:
        progress: wraps the rows whose images are read, such as `tqdm`.
    """
    return {
        "columns": _columns(episode),
        "ticks": _ticks(episode),
        "streams": _streams(episode),
        "cameras": {name: _camera(episode, name, progress) for name in episode.camera_names},
    }


def _columns(episode: Episode) -> dict[str, dict[str, float | int | None]]:
    joints = episode.joint_names or ()
    groups: dict[str, tuple[np.ndarray | None, tuple[str, ...]]] = {
        "qpos": (episode.qpos, joints),
        "qvel": (episode.qvel, joints),
        "effort": (episode.effort, joints),
        "action": (episode.action, joints),
        "policy_action": (episode.policy_action, joints),
        "human_action": (episode.human_action, joints),
        "base_vel": (episode.base_vel, ("linear", "angular")),
        "base_action": (episode.base_action, ("linear", "angular")),
        **{name: (episode.vector(name), ()) for name in episode.vector_names},
    }
    found = {}
    for group, (values, names) in groups.items():
        if values is None or values.ndim != 2:
            continue
        for column in range(values.shape[1]):
            name = names[column] if column < len(names) else str(column)
            found[f"{group} {name}"] = _numbers(values[:, column])
    return found


def _numbers(values: np.ndarray) -> dict[str, float | int | None]:
    known = values[np.isfinite(values)].astype(np.float64)
    if not len(known):
        return {"min": None, "max": None, "mean": None, "std": None, "unknown": len(values)}
    figures = {"min": known.min(), "max": known.max(), "mean": known.mean(), "std": known.std()}
    return {**{key: float(value) for key, value in figures.items()}, "unknown": len(values) - len(known)}


def _ticks(episode: Episode) -> dict[str, float | int | None]:
    stamps = episode.stamp_ns
    gaps = np.diff(stamps) / 1e6 if stamps is not None and len(stamps) > 1 else np.array([])
    wanted = 1e3 / episode.rate_hz if episode.rate_hz else None
    return {
        "rows": episode.rows,
        "period_ms": float(gaps.mean()) if len(gaps) else wanted,
        "longest_ms": float(gaps.max()) if len(gaps) else None,
        "missing": int(np.rint(gaps / wanted - 1).clip(min=0).sum()) if len(gaps) and wanted else None,
    }


def _streams(episode: Episode) -> dict[str, dict[str, float | int]]:
    skew, flags = episode.skew_ns, episode.flags
    if skew is None or flags is None or not len(skew):
        return {}
    found = {}
    for column, name in enumerate(episode.streams[: skew.shape[1]]):
        apart = np.abs(skew[:, column]) / 1e6
        kinds = {kind: int(np.count_nonzero(flags[:, column] & int(bit))) for kind, bit in KINDS.items()}
        p50, p99 = (float(np.percentile(apart, share)) for share in (50, 99))
        found[name] = {"skew_p50_ms": p50, "skew_p99_ms": p99, "skew_max_ms": float(apart.max()), **kinds}
    return found


def _camera(episode: Episode, name: str, progress: Progress) -> dict[str, Any]:
    rows = episode.image_rows(name)
    chosen: list[int] = np.unique(np.linspace(0, max(rows - 1, 0), min(rows, IMAGES)).astype(int)).tolist()
    sums, squares, pixels, unreadable, stored = np.zeros(3), np.zeros(3), 0, 0, 0
    for row in progress(chosen):
        try:
            image = episode.image(name, row).astype(np.float64)
            stored += len(episode.jpeg(name, row)) if episode.is_jpeg(name) else int(image.size)
        except EpisodeError:
            unreadable += 1
            continue
        sums, squares = sums + image.sum((0, 1)), squares + (image**2).sum((0, 1))
        pixels += image.shape[0] * image.shape[1]
    read = len(chosen) - unreadable
    mean = sums / pixels if pixels else None
    return {
        "images": read,
        "unreadable": unreadable,
        "mean": None if mean is None else mean.tolist(),
        "std": None if mean is None else np.sqrt(np.maximum(squares / pixels - mean**2, 0)).tolist(),
        "kilobytes": stored / read / 1e3 if read else None,
    }
