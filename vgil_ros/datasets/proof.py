"""What a conversion did to an episode, measured on what was written: hashes, largest errors, PSNR, re-timing."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.stored import COLUMNS, StoredEpisode, column, task_runs
from vgil_ros.episodes.convert import REWARDS
from vgil_ros.episodes.reader import FINAL, EpisodeReader
from vgil_ros.episodes.view import Episode

COMPARED = 8  # images of each camera that are held against the source's


def stored_images(episode: Episode, camera: str) -> Iterator[bytes]:
    """What is stored of each of a camera's images: the JPEG, the packet of a video, or the pixels."""
    if isinstance(episode, StoredEpisode):
        yield from episode.images(camera).stored()
        return
    jpeg = episode.is_jpeg(camera)
    for row in range(episode.rows):
        yield episode.jpeg(camera, row) if jpeg else np.ascontiguousarray(episode.image(camera, row)).tobytes()


def digests(episode: Episode) -> dict[str, str]:
    """SHA-256 of each stream as it is stored."""
    found = {}
    for name in COLUMNS:
        if (values := column(episode, name)) is not None:
            found[name] = _digest_numbers(values)
    for name in episode.vector_names:
        found[f"vector {name}"] = _digest_numbers(_vector(episode, name))
    for camera in episode.camera_names:
        found[camera] = _digest(stored_images(episode, camera))
    for camera in episode.depth_names:
        found[camera] = _digest(episode.depth(camera, row).tobytes() for row in range(episode.rows))
    return found


def facts_of(episode: Episode) -> dict[str, Any]:
    """What an episode says beside its streams, as JSON has it; None where its layout does not store it."""
    return {
        "tasks": [[row, task] for row, task in task_runs(episode)],
        "success": None if episode.success is None else bool(episode.success),
        "rate_hz": None if episode.rate_hz is None else float(episode.rate_hz),
        "joint_names": None if episode.joint_names is None else list(episode.joint_names),
        "camera_names": list(episode.camera_names),
    }


def beside(episode: Episode) -> tuple[str, ...]:
    """Names of what a data set holds of an episode that is no stream: a conversion takes it along within ours alone."""
    if isinstance(episode, StoredEpisode):
        return episode.unread
    if not isinstance(episode, EpisodeReader) or episode.layout != "vgil":
        return ()
    stored = {name: episode.dataset(name) for name in REWARDS}
    found = [name for name, values in stored.items() if values is not None and not np.isnan(values).all()]
    return (*found, *([FINAL] if FINAL in episode.structure.groups else ()))


def _vector(episode: Episode, name: str) -> np.ndarray:
    """(T, n)."""
    return episode.vector(name)[: episode.rows]


def _digest_numbers(values: np.ndarray) -> str:
    plain = np.ascontiguousarray(values)
    return hashlib.sha256(f"{plain.dtype.str} {plain.shape}".encode() + plain.tobytes()).hexdigest()


def _digest(parts: Iterator[bytes]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(part)
    return whole.hexdigest()


def prove(source: Episode, target: Episode, videos: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, Any]:
    """Hold what was written against its source.

    Args:
        videos: what is known of a camera's images already, measured on all of them.

    Returns:
        "streams": for each column, and each "vector NAME", sha256 and largest_error (0.0: equal; None: not kept), for
        each camera sha256, kept
        ("bytes", "pixels", "codec" or None) and psnr_db (least, mean) of `COMPARED` images or of all; "timing";
        "facts": see `facts_of`, of what was written; "not_kept": names of what else the source holds and it does not.

    Raises:
        DatasetError: depth images came out otherwise.
    """
    marks = digests(target)
    streams: dict[str, Any] = {}
    for name in COLUMNS:
        theirs = column(source, name)
        if theirs is not None or name in marks:
            streams[name] = {"sha256": marks.get(name), "largest_error": _largest_error(theirs, column(target, name))}
    for name in source.vector_names:
        key = f"vector {name}"
        ours = _vector(target, name) if key in marks else None
        streams[key] = {"sha256": marks.get(key), "largest_error": _largest_error(_vector(source, name), ours)}
    for camera in source.camera_names:
        if camera in (videos or {}):
            kept = {"kept": "codec", **(videos or {})[camera]}
        else:
            kept = _compare_images(source, target, camera) if camera in marks else {"kept": None}
        streams[camera] = {"sha256": marks.get(camera), **kept}
    for camera in source.depth_names:
        if camera in marks:
            _compare_depth(source, target, camera)
        streams[camera] = {"sha256": marks.get(camera), "kept": "pixels" if camera in marks else None}
    kept_beside = beside(target)
    return {
        "streams": streams,
        "timing": _timing(source, target),
        "facts": facts_of(target),
        "not_kept": [name for name in beside(source) if name not in kept_beside],
    }


def _largest_error(theirs: np.ndarray | None, ours: np.ndarray | None) -> float | None:
    if theirs is None or ours is None or theirs.shape != ours.shape:
        return None
    if np.array_equal(theirs, ours, equal_nan=theirs.dtype.kind == "f"):
        return 0.0
    gap = np.abs(theirs.astype(np.float64) - ours.astype(np.float64))
    return float(np.nanmax(gap)) if np.isfinite(gap).any() else None


def _compare_images(source: Episode, target: Episode, camera: str) -> dict[str, Any]:
    rows = _compared(source)
    if all(_same_file(source, target, camera, row) for row in rows):
        return {"kept": "bytes"}
    ratios = [psnr(source.image(camera, row), target.image(camera, row)) for row in rows]
    if all(math.isinf(one) for one in ratios):
        return {"kept": "pixels"}
    finite = [min(one, 99.0) for one in ratios]  # an image that came out exact among others that did not
    return {
        "kept": "codec",
        "psnr_db": {"least": round(min(finite), 2), "mean": round(sum(finite) / len(finite), 2), "images": len(rows)},
    }


def _compare_depth(source: Episode, target: Episode, camera: str) -> None:
    for row in _compared(source):
        theirs, ours = source.depth(camera, row), target.depth(camera, row)
        if not np.array_equal(theirs, ours):
            gap = np.abs(theirs.astype(int) - ours).max() if theirs.shape == ours.shape else f"{ours.shape} pixels,"
            raise DatasetError(
                f"{source.path}: depth of {camera} row {row} was written {gap} mm off; allowed: as it is"
            )


def _compared(episode: Episode) -> list[int]:
    """Rows whose images are compared."""
    rows: list[int] = np.unique(np.linspace(0, episode.rows - 1, COMPARED).astype(int)).tolist()
    return rows


def _same_file(source: Episode, target: Episode, camera: str, row: int) -> bool:
    if not (source.is_jpeg(camera) and target.is_jpeg(camera)):
        return False
    data = source.jpeg(camera, row)
    return bool(data) and data == target.jpeg(camera, row)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio of two uint8 images in dB, inf where they are equal."""
    error = float(np.square(one.astype(np.float64) - other).mean())
    return math.inf if error == 0 else 10 * math.log10(255.0**2 / error)


def _timing(source: Episode, target: Episode) -> dict[str, Any]:
    """Whether stamps were kept, and how far they are from the even ticks that some layouts state in their place."""
    stamps, kept = column(source, "stamp_ns"), column(target, "stamp_ns")
    if stamps is None:
        return {"stamps": "none in the source"}
    words = "kept" if kept is not None and np.array_equal(stamps, kept) else "not stored"
    rate = source.rate_hz or target.rate_hz
    if not rate:
        return {"stamps": words}
    even = stamps[0] + np.rint(np.arange(len(stamps)) * (1e9 / rate)).astype(np.int64)
    return {"stamps": words, "from_even_ticks_ms": float(np.abs(stamps - even).max() / 1e6)}
