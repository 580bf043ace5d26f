"""Statistics that training needs of an episode before it reads from it, gathered in one pass over its small arrays."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from vgil_ros.core.config import StrictModel
from vgil_ros.datasets.source import open_episode
from vgil_ros.datasets.stored import task_runs
from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.same_setup import setup_of_episode
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode
from vgil_ros.policies.config import Normalization
from vgil_ros.policies.normalizer import STD_FLOOR, Normalizer, floored
from vgil_ros.training.data.episode_facts import EpisodeFacts, broken_jpegs, read_facts
from vgil_ros.training.errors import TrainingError


class Moments(StrictModel):
    """Count, mean, sum of squared differences from it, and range, of rows (N, D)."""

    count: int
    mean: tuple[float, ...]
    m2: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def of(cls, rows: np.ndarray) -> Moments:
        """Moments of rows (N, D), N above 0, in float64."""
        data = np.asarray(rows, np.float64)
        mean = data.mean(0)
        parts = (mean, np.square(data - mean).sum(0), data.min(0), data.max(0))
        return cls(
            **dict(zip(("mean", "m2", "low", "high"), (tuple(p.tolist()) for p in parts), strict=True)), count=len(data)
        )

    def merge(self, other: Moments) -> Moments:
        """Moments of both together (Chan, Golub & LeVeque 1979)."""
        total = self.count + other.count
        ours, theirs = np.array(self.mean), np.array(other.mean)
        delta = theirs - ours
        m2 = np.array(self.m2) + np.array(other.m2) + np.square(delta) * (self.count * other.count / total)
        return Moments(
            count=total,
            mean=tuple((ours + delta * (other.count / total)).tolist()),
            m2=tuple(m2.tolist()),
            low=tuple(np.minimum(self.low, other.low).tolist()),
            high=tuple(np.maximum(self.high, other.high).tolist()),
        )

    def join(self, other: Moments) -> Moments:
        """Moments of the columns of both side by side; both are of the same rows."""
        return Moments(
            count=self.count,
            mean=self.mean + other.mean,
            m2=self.m2 + other.m2,
            low=self.low + other.low,
            high=self.high + other.high,
        )

    @property
    def std(self) -> np.ndarray:
        """(D,), with N - 1 in the denominator."""
        return np.sqrt(np.array(self.m2) / max(self.count - 1, 1))

    def statistics(self) -> dict[str, np.ndarray]:
        """`mean`, `std`, `min`, `max`, (D,) each, with the floors of a normaliser."""
        return floored(np.array(self.mean), self.std, np.array(self.low), np.array(self.high))


def merge_all(parts: Iterable[Moments]) -> Moments:
    """Moments of everything in `parts`, which are not empty."""
    return functools.reduce(Moments.merge, parts)


def make_normalizer(
    spec: Normalization, qpos: Moments, action: Moments, images: Mapping[str, Moments], cameras: tuple[str, ...]
) -> Normalizer:
    """Make a policy's normaliser.

    Args:
        images: of pixels in [0, 1], (3,) for each camera.
        cameras: in the policy's order.

    Raises:
        PolicyError: statistics that cannot be divided by.
    """
    mean = std = None
    if spec.images.mode == "mean_std":
        mean = np.stack([images[name].mean for name in cameras])
        std = np.stack([np.maximum(images[name].std, STD_FLOOR) for name in cameras])
    return Normalizer.from_statistics(spec, qpos.statistics(), action.statistics(), len(cameras), mean, std)


SAMPLED = 8  # images of each camera that are decoded for the statistics


class CameraStats(StrictModel):
    """A camera's images: size in pixels, whether stored as JPEG, and moments of (N, 3) pixels in [0, 1]."""

    height: int
    width: int
    jpeg: bool
    pixels: Moments


class EpisodeStats(StrictModel):
    """One episode.

    Attributes:
        rows: T. qpos, action: moments of (T, D) and of the aligned (T, A). base: of the aligned (T, 2), or None.
        cameras: in the file's order. vectors: of each further vector (T, n) that has no NaN and no infinity.
        digest: of the layout, the numbers and the sampled images.
        setup: what must be the same in all episodes of a training, in words, as far as the file tells.
        facts: what else is told of it.
        tasks: (first row, words) of each task, where it is not one in all rows.
    """

    path: Path
    rows: int
    qpos: Moments
    action: Moments
    base: Moments | None
    cameras: dict[str, CameraStats]
    rate_hz: float | None
    joint_names: tuple[str, ...] | None
    task: str | None
    digest: str
    setup: dict[str, str]
    facts: EpisodeFacts = EpisodeFacts()
    vectors: dict[str, Moments] = Field(default_factory=dict)
    tasks: tuple[tuple[int, str], ...] = ()

    def task_at(self, row: int) -> str:
        """What was to be done in a row."""
        return next((words for first, words in reversed(self.tasks) if first <= row), self.task or "")

    def state(self, vectors: Sequence[str]) -> Moments:
        """Moments of what a policy takes: qpos, and these vectors behind it."""
        return functools.reduce(Moments.join, (self.vectors[name] for name in vectors), self.qpos)


def read_episode_stats(path: Path) -> EpisodeStats:
    """Read an episode's statistics.

    Raises:
        EpisodeError: it cannot be read.
        TrainingError: it has no row, values that are not finite, fewer images than rows, or a JPEG that is not whole.
    """
    with open_episode(path) as episode:
        digest = hashlib.sha256(f"{episode.layout} {episode.action_alignment}".encode())
        arrays = {"qpos": episode.qpos[: episode.rows], "action": aligned_actions(episode, base=False)}
        if episode.base_action is not None:
            arrays["base_action"] = aligned_actions(episode, base=True)[:, arrays["action"].shape[1] :]
        for name, values in arrays.items():
            check_rows(path, name, values)
            digest.update(np.ascontiguousarray(values, np.float32).tobytes())
        vectors = {name: episode.vector(name)[: episode.rows] for name in episode.vector_names}
        for name, values in vectors.items():
            digest.update(name.encode() + np.ascontiguousarray(values).tobytes())
        cameras = {name: _camera(episode, name, digest) for name in episode.camera_names}
        return EpisodeStats(
            path=path,
            rows=episode.rows,
            qpos=Moments.of(arrays["qpos"]),
            action=Moments.of(arrays["action"]),
            base=Moments.of(arrays["base_action"]) if "base_action" in arrays else None,
            cameras=cameras,
            rate_hz=episode.rate_hz,
            joint_names=episode.joint_names,
            task=episode.task,
            tasks=_changing_tasks(episode),
            digest=digest.hexdigest(),
            setup=setup_of_episode(episode),
            facts=read_facts(episode, arrays["qpos"], arrays["action"]),
            vectors={n: Moments.of(v) for n, v in vectors.items() if len(v) == episode.rows and np.isfinite(v).all()},
        )


def _changing_tasks(episode: Episode) -> tuple[tuple[int, str], ...]:
    runs = task_runs(episode)
    return () if [task for _, task in runs] == [episode.task or ""] else tuple(runs)


def states(episode: Episode, vectors: Sequence[str]) -> np.ndarray:
    """(T, D + ...) float32: qpos and these vectors behind it, as a policy takes them.

    Raises:
        TrainingError: the episode lacks one, or has not one for each row.
    """
    parts = [episode.qpos[: episode.rows].astype(np.float32)]
    for name in vectors:
        if name not in episode.vector_names:
            raise TrainingError(f"{episode.path}: lacks vector {name}; found {list(episode.vector_names)}")
        values = episode.vector(name)[: episode.rows]
        if len(values) != episode.rows:
            raise TrainingError(f"{episode.path}: {name} has {len(values)} rows; allowed: {episode.rows}, one for each")
        parts.append(values.astype(np.float32))
    return np.concatenate(parts, axis=1)


def aligned_actions(episode: Episode, *, base: bool) -> np.ndarray:
    """(T, A) as the layout's own trainer pairs them with observations; with `base`, (T, A + 2), as act-plus-plus.

    Raises:
        TrainingError: `base` is asked for and the file has no base action.
    """
    action = episode.aligned_action()[: episode.rows]
    if not base:
        return action
    if episode.base_action is None:
        raise TrainingError(f"{episode.path}: has no base_action; train without data.base_action")
    aligned = episode.aligned_base_action()
    assert aligned is not None
    moved = aligned[: episode.rows]
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


def _camera(episode: Episode, name: str, digest: hashlib._Hash) -> CameraStats:
    jpeg = episode.is_jpeg(name)
    count = episode.image_rows(name)
    if count < episode.rows:
        raise TrainingError(f"{episode.path}: {name} has {count} images for {episode.rows} rows")
    if isinstance(episode, EpisodeReader) and jpeg and (broken := broken_jpegs(episode, name)):
        where = Finding("error", "jpegs", name, "", broken).where
        raise TrainingError(f"{episode.path}: {name}: no whole JPEG at rows {where}; see `vgil episodes check`")
    chosen = np.unique(np.linspace(0, episode.rows - 1, SAMPLED).astype(int))
    images = [episode.image(name, int(row)) for row in chosen]
    shape = images[0].shape
    for row, image in zip(chosen, images, strict=True):
        if image.shape != shape or image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise TrainingError(
                f"{episode.path}: {name} row {row} is {image.dtype} {image.shape}; allowed: uint8 {shape[:2]} x 3"
            )
        digest.update(image[::8].tobytes())
    pixels = np.concatenate([image.reshape(-1, 3)[::7] for image in images]) / 255.0
    return CameraStats(height=shape[0], width=shape[1], jpeg=jpeg, pixels=Moments.of(pixels))
