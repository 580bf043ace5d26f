"""What training must know of an episode before it reads from it, gathered in one pass over its small arrays."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from vgil_ros.episodes import layouts
from vgil_ros.episodes.reader import IMAGES, EpisodeReader
from vgil_ros.policies.frozen import Frozen
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.statistics import Moments

SAMPLED = 8  # pictures of each camera that are decoded for the statistics


class CameraFacts(Frozen):
    """A camera's pictures: size in pixels, whether stored as JPEG, and moments of (N, 3) pixels in [0, 1]."""

    height: int
    width: int
    jpeg: bool
    pixels: Moments


class EpisodeFacts(Frozen):
    """One episode.

    Attributes:
        rows: T. qpos, action: moments of (T, D) and of the aligned (T, A). base: of the aligned (T, 2), or None.
        cameras: in the file's order.
        digest: of the layout, the numbers and the sampled pictures.
    """

    path: Path
    rows: int
    qpos: Moments
    action: Moments
    base: Moments | None
    cameras: dict[str, CameraFacts]
    rate_hz: float | None
    joint_names: tuple[str, ...] | None
    task: str | None
    digest: str


def read_facts(path: Path) -> EpisodeFacts:
    """Read an episode's facts.

    Raises:
        EpisodeError: it cannot be read.
        TrainingError: it has no row, values that are not finite, or fewer pictures than rows.
    """
    with EpisodeReader(path) as episode:
        digest = hashlib.sha256(f"{episode.layout} {episode.action_alignment}".encode())
        arrays = {"qpos": episode.qpos[: episode.rows], "action": aligned_actions(episode, base=False)}
        if episode.base_action is not None:
            arrays["base_action"] = aligned_actions(episode, base=True)[:, arrays["action"].shape[1] :]
        for name, values in arrays.items():
            check_rows(path, name, values)
            digest.update(np.ascontiguousarray(values, np.float32).tobytes())
        cameras = {name: _camera(episode, name, digest) for name in episode.camera_names}
        return EpisodeFacts(
            path=path,
            rows=episode.rows,
            qpos=Moments.of(arrays["qpos"]),
            action=Moments.of(arrays["action"]),
            base=Moments.of(arrays["base_action"]) if "base_action" in arrays else None,
            cameras=cameras,
            rate_hz=episode.rate_hz,
            joint_names=episode.joint_names,
            task=episode.task,
            digest=digest.hexdigest(),
        )


def aligned_actions(episode: EpisodeReader, *, base: bool) -> np.ndarray:
    """(T, A) as the layout's own trainer pairs them with observations; with `base`, (T, A + 2), as act-plus-plus.

    Raises:
        TrainingError: `base` is asked for and the file has no base action.
    """
    action = episode.aligned_action()[: episode.rows]
    if not base:
        return action
    if episode.base_action is None:
        raise TrainingError(f"{episode.path}: has no base_action; train without data.base_action")
    moved = layouts.aligned(episode.base_action, episode.action_alignment)[: episode.rows]
    if len(moved) != len(action):
        raise TrainingError(f"{episode.path}: base_action has {len(moved)} rows, action {len(action)}")
    return np.concatenate([action, moved.astype(action.dtype)], axis=1)


def check_rows(path: Path, name: str, values: np.ndarray) -> None:
    """Raise TrainingError unless `values` are (T, D) with T above 0, and all finite."""
    if values.ndim != 2 or len(values) == 0:
        raise TrainingError(f"{path}: {name} has shape {values.shape}; allowed: (T, D) with T above 0")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        row, column = bad[0]
        raise TrainingError(
            f"{path}: {name} is {values[row, column]} at row {row}, column {column}"
            f" ({len(bad)} values in all); allowed: finite numbers"
        )


def _camera(episode: EpisodeReader, name: str, digest: hashlib._Hash) -> CameraFacts:
    count = len(episode.file[f"{IMAGES}/{name}"])
    if count < episode.rows:
        raise TrainingError(f"{episode.path}: {name} has {count} pictures for {episode.rows} rows")
    chosen = np.unique(np.linspace(0, episode.rows - 1, SAMPLED).astype(int))
    pictures = [episode.image(name, int(row)) for row in chosen]
    shape = pictures[0].shape
    for row, picture in zip(chosen, pictures, strict=True):
        if picture.shape != shape or picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
            raise TrainingError(
                f"{episode.path}: {name} row {row} is {picture.dtype} {picture.shape}; allowed: uint8 {shape[:2]} x 3"
            )
        digest.update(picture[::8].tobytes())
    pixels = np.concatenate([picture.reshape(-1, 3)[::7] for picture in pictures]) / 255.0
    return CameraFacts(height=shape[0], width=shape[1], jpeg=episode.is_jpeg(name), pixels=Moments.of(pixels))
