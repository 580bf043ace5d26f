"""Numbers are numbers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.core.control.takeover import Actor
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

BESIDE = ("qvel", "effort")  # measured beside the state, which qpos and action are
JOINTS = ("qpos", "qvel", "effort", "action")
DATASETS = ("qpos", "qvel", "effort", "action", "base_action", "base_vel")


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name columns and rows that hold NaN or infinity."""
    yield from _acting(episode)
    vectors = ((name, episode.vector(name)) for name in episode.vector_names)
    for name, values in (*((name, getattr(episode, name)) for name in DATASETS), *vectors):
        if values is None or values.ndim != 2:
            continue
        bad = ~np.isfinite(values)
        if name in BESIDE:
            yield from _unmeasured(episode, name, bad)
            continue
        if bad.any():
            columns = [_column(episode, name, int(i)) for i in np.flatnonzero(bad.any(axis=0))]
            message = f"holds NaN or infinity in {', '.join(columns)}"
            yield Finding("error", "numbers", name, message, spans(np.flatnonzero(bad.any(axis=1))))


def _acting(episode: Episode) -> Iterator[Finding]:
    """Who acted, where rows say so: numbers that mean somebody."""
    for name, most in (("intervention", 1), ("actor", max(Actor))):
        values = getattr(episode, name)
        if values is not None and (wrong := ~np.isin(values, np.arange(most + 1))).any():
            message = f"holds {np.unique(values[wrong])[:4].tolist()}; allowed: 0 to {most}"
            yield Finding("error", "numbers", name, message, spans(np.flatnonzero(wrong)))


def _unmeasured(episode: Episode, name: str, bad: np.ndarray) -> Iterator[Finding]:
    """Velocity and effort: some drivers measure them for some joints, or now and then."""
    always = bad.all(axis=0)
    columns = [_column(episode, name, int(i)) for i in np.flatnonzero(always)]
    if columns:
        yield Finding("info", "numbers", name, f"is not measured (NaN) of {', '.join(columns)}")
    now_and_then = bad & ~always
    if now_and_then.any():
        columns = [_column(episode, name, int(i)) for i in np.flatnonzero(now_and_then.any(axis=0))]
        rows = np.flatnonzero(now_and_then.any(axis=1))
        message = f"is not measured (NaN) of {', '.join(columns)} in {len(rows)} of {len(bad)} rows"
        yield Finding("warning", "numbers", name, message, spans(rows))


def _column(episode: Episode, name: str, index: int) -> str:
    names = episode.joint_names
    return names[index] if names and name in JOINTS and index < len(names) else f"column {index}"
