"""What is usual in a policy's training data, measured on its episodes: see `core.control.doubt`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vgil_ros.core.control.doubt import LAG_S, NEIGHBOUR, Familiar, inconsistency, spread
from vgil_ros.core.history import with_task
from vgil_ros.core.observation import RobotObservation
from vgil_ros.datasets.source import open_episode
from vgil_ros.policies.config import PolicyConfig
from vgil_ros.training.data.episode_stats import aligned_actions, states
from vgil_ros.training.errors import TrainingError

MOST_POINTS = 3000
QUANTILE = 0.99
ASKED = 5  # episodes that the policy is shown
APART_S = 0.1  # between two chunks of them, where nobody says otherwise
USUAL_RATE = 50.0  # where episodes do not tell theirs
FLOOR = 1e-3  # of a standard deviation: a joint that never moves must not be divided by 0

Draw = Callable[[RobotObservation], np.ndarray]  # a chunk (H, A), or several (K, H, A)


def measure_familiar(
    paths: Sequence[Path], config: PolicyConfig, draw: Draw | None = None, gap_s: float = APART_S
) -> Familiar:
    """Look at every episode.

    Args:
        paths: the episodes that the policy was trained from.
        config: the policy.
        draw: the policy; None: what is usual of its chunks is not measured. A policy that takes the past is not asked.
        gap_s: between two chunks of it, rounded to rows.

    Raises:
        TrainingError: fewer than two episodes. EpisodeError: one cannot be read.
    """
    if len(paths) < 2:
        raise TrainingError(f"{len(paths)} episodes; allowed: at least two, as each is held against the others")
    seen = [_windows(path, config) for path in paths]
    windows, action_scale = [window for window, _ in seen], np.concatenate([action for _, action in seen]).std(axis=0)
    action_scale = np.maximum(action_scale, FLOOR)
    scale = np.maximum(np.concatenate(windows).std(axis=0), FLOOR)
    step = max(1, sum(map(len, windows)) // MOST_POINTS)
    thinned = [(window[::step] / scale).astype(np.float32) for window in windows]
    distances = np.concatenate([_distances(thinned, own) for own in range(len(thinned))])
    told = Familiar(np.concatenate(thinned), scale, action_scale, float(np.quantile(distances, QUANTILE)))
    if draw is None or config.obs_offsets:
        return told
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(ASKED, len(paths))).astype(int))
    asked = [_disagreements(paths[i], config, action_scale, draw, gap_s) for i in chosen]
    found = [value for one in asked for value in one.values]
    usual = float(np.quantile(found, QUANTILE)) if found else 0.0
    return replace(told, disagreement=usual, draws=asked[0].draws, gap_s=asked[0].gap_s) if usual else told


def _windows(path: Path, config: PolicyConfig) -> tuple[np.ndarray, np.ndarray]:
    """(T, 2 D) positions, and their change over `LAG_S`; and the actions (T, A)."""
    with open_episode(path) as episode:
        qpos = episode.qpos[: episode.rows].astype(np.float64)
        lag = max(1, round(LAG_S * (episode.rate_hz or config.rate_hz or USUAL_RATE)))
        actions = aligned_actions(episode, base=config.action_dim == episode.action.shape[1] + 2)
    before = qpos[np.maximum(np.arange(len(qpos)) - lag, 0)]
    return np.concatenate([qpos, qpos - before], axis=1), actions


def _distances(parts: Sequence[np.ndarray], own: int) -> np.ndarray:
    """Of an episode's points to the k-th nearest of the other episodes."""
    others = np.concatenate([part for i, part in enumerate(parts) if i != own])
    squares = (others**2).sum(axis=1)
    gaps = squares[None] - 2.0 * parts[own] @ others.T + (parts[own] ** 2).sum(axis=1)[:, None]
    place = min(NEIGHBOUR, gaps.shape[1]) - 1
    nearest: np.ndarray = np.sqrt(np.maximum(np.partition(gaps, place, axis=1)[:, place], 0.0))
    return nearest


@dataclass(frozen=True)
class _Asked:
    """What a policy said of an episode: disagreements, and how they were measured (`Familiar`)."""

    values: list[float]
    draws: int
    gap_s: float


def _disagreements(path: Path, config: PolicyConfig, scale: np.ndarray, draw: Draw, gap_s: float) -> _Asked:
    found: list[float] = []
    before: np.ndarray | None = None
    draws = 1
    with open_episode(path) as episode:
        rate = episode.rate_hz or config.rate_hz or USUAL_RATE
        apart = max(1, round(gap_s * rate))
        qpos, tasks = states(episode, config.vector_names), episode.row_tasks()
        for row in range(0, episode.rows, apart):
            images = {name: episode.image(name, row) for name in config.camera_names}
            chunk = draw(with_task({"qpos": qpos[row], "images": images}, tasks[row]))
            if chunk.ndim == 3:
                draws = len(chunk)
                found.append(spread(chunk, scale))
                continue
            if before is not None and (value := inconsistency(before, chunk, apart, scale)) is not None:
                found.append(value)
            before = chunk
    return _Asked(found, draws, apart / rate)
