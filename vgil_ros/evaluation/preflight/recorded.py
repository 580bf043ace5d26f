"""What was seen of a robot, taken from the first rows of a recorded episode."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from vgil_ros.core.errors import VgilError
from vgil_ros.core.history import past_rows, row_stamps, with_past, with_task
from vgil_ros.core.observation import RobotFrame, RobotObservation
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.evaluation.preflight.findings import Seen
from vgil_ros.policies.config import PolicyConfig

ROWS, SHOWN, ASKED = 50, 5, 3  # rows that are looked at; of them with images, and whole ones for the policy


def seen_in_episode(path: Path, config: PolicyConfig, *, rows: int = ROWS) -> Seen:
    """Read the first rows of an episode as a policy would have seen them.

    Raises:
        VgilError: it cannot be read, or lacks what the policy takes.
    """
    with EpisodeReader(path) as episode:
        missing = [name for name in config.camera_names if name not in episode.camera_names]
        missing += [name for name in config.vector_names if name not in episode.vector_names]
        if missing:
            found = [*episode.camera_names, *episode.vector_names]
            raise VgilError(f"{path}: lacks {', '.join(missing)}; found {found}, allowed: an episode of this robot")
        count = min(rows, episode.rows)
        shown = np.unique(np.linspace(0, count - 1, SHOWN).astype(int)).tolist()
        qpos = _states(episode, config, count)
        images = {name: np.stack([episode.image(name, row) for row in shown]) for name in config.camera_names}
        return Seen(
            source=str(path),
            qpos=qpos,
            images=images,
            observations=[_observation(episode, config, qpos, row) for row in shown[:ASKED]],
            fps={name: fps for name in config.camera_names if (fps := _fps(episode, name, count)) is not None},
        )


def _states(episode: EpisodeReader, config: PolicyConfig, count: int) -> np.ndarray:
    parts = [episode.qpos[:count], *(episode.vector(name)[:count] for name in config.vector_names)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts], axis=1)


def _observation(episode: EpisodeReader, config: PolicyConfig, states: np.ndarray, row: int) -> RobotObservation:
    def frame(row: int) -> RobotFrame:
        images = {name: episode.image(name, row) for name in config.camera_names}
        return {"qpos": states[row].astype(np.float32), "images": images}

    period_ns = round(1e9 / episode.rate_hz) if episode.rate_hz else None
    earlier = past_rows(row, config.obs_offsets, row_stamps(episode.stamp_ns, episode.rows), period_ns)
    past = [None if one is None else frame(one) for one in earlier]
    return with_task(with_past(frame(row), past), episode.task or "")


def _fps(episode: EpisodeReader, camera: str, count: int) -> float | None:
    """New images a second: rows that repeat the image before are none."""
    stamps = row_stamps(episode.stamp_ns, episode.rows)
    if stamps is None or count < 3 or stamps[count - 1] <= stamps[0]:
        return None
    images = [episode.image(camera, row) for row in range(count)]
    new = sum(not np.array_equal(a, b) for a, b in itertools.pairwise(images))
    return new * 1e9 / float(stamps[count - 1] - stamps[0])
