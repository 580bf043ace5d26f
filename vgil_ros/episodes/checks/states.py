"""Joints move, and a joint that is led moves too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.reader import EpisodeReader

MOVES = 0.02  # rad: less may be noise or an operator at rest


def check(episode: EpisodeReader, scan: Scan) -> Iterator[Finding]:
    """Name columns that never change. One that its leader moves, and yet stands, is a dead encoder or motor."""
    if episode.rows < 2 or episode.qpos.shape[1:] != episode.action.shape[1:]:
        return
    still = {name: np.ptp(values[: episode.rows], axis=0) for name, values in _both(episode)}
    names = episode.joint_names or tuple(f"column {i}" for i in range(len(still["qpos"])))
    if not np.any(still["qpos"] > 0):
        yield Finding("warning", "states", "qpos", "never changes, in no column")
        return
    if np.max(still["qpos"]) > MOVES and _equal(episode):
        message = (
            "actions equal the measured positions of their own row: a policy that learns them stays still; allowed:"
            " where the joints are to go"
        )
        yield Finding("error", "states", "action", message)
    for i, name in enumerate(names):
        state, action = still["qpos"][i], still["action"][i]
        if state == 0 and action > MOVES:
            yield Finding("error", "states", name, f"qpos never changes while its action moves by {action:.3g}")
        elif action == 0 and state > MOVES:
            yield Finding("warning", "states", name, f"action never changes while its qpos moves by {state:.3g}")
        elif state == 0 and action == 0 and name != "end_marker":
            yield Finding("info", "states", name, "neither qpos nor action ever changes")


def _equal(episode: EpisodeReader) -> bool:
    action = episode.aligned_action()[: episode.rows]
    same = (action == episode.qpos[: episode.rows].astype(action.dtype)).all(axis=1)
    return episode.rows >= 10 and float(same.mean()) > 0.95


def _both(episode: EpisodeReader) -> tuple[tuple[str, np.ndarray], ...]:
    return (("qpos", np.nan_to_num(episode.qpos)), ("action", np.nan_to_num(episode.action)))
