"""Joints move, and a joint that is led moves too."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

MOVES = 0.02  # rad: less may be noise or an operator at rest
EQUAL = 1e-6  # rad between an action and a position that are the same
ALMOST_ALL, FEWEST = 0.95, 10  # share of the rows; rows


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name columns that never change. One that its leader moves, and yet stands, is a dead encoder or motor."""
    for name in episode.vector_names if episode.rows > 1 else ():
        if not np.any(np.ptp(np.nan_to_num(episode.vector(name)[: episode.rows]), axis=0) > 0):
            yield Finding("warning", "states", name, "never changes, in no column: is its sensor on?")
    if episode.rows < 2 or episode.qpos.shape[1:] != episode.action.shape[1:]:
        return
    still = {name: np.ptp(values[: episode.rows], axis=0) for name, values in _both(episode)}
    names = episode.joint_names or tuple(f"column {i}" for i in range(len(still["qpos"])))
    if not np.any(still["qpos"] > 0):
        yield Finding("warning", "states", "qpos", "never changes, in no column")
        return
    stored = episode.action[: episode.rows]
    if actions_are_positions(episode.qpos[: episode.rows], episode.aligned_action()[: episode.rows], stored):
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


def actions_are_positions(qpos: np.ndarray, *actions: np.ndarray) -> bool:
    """Whether a robot that moves was told, in almost all rows, to be where it is: a policy learns to stay.

    Args:
        qpos: (T, D), rad; grippers as they are.
        actions: (T, D) each, the same actions as they may be paired with the positions: as the layout's trainer does,
            and as they lie in the file.
    """
    if len(qpos) < FEWEST or float(np.max(np.ptp(np.nan_to_num(qpos), axis=0), initial=0.0)) <= MOVES:
        return False
    return any(
        action.shape == qpos.shape
        and float((np.abs(action.astype(np.float64) - qpos) <= EQUAL).all(axis=1).mean()) > ALMOST_ALL
        for action in actions
    )


def _both(episode: Episode) -> tuple[tuple[str, np.ndarray], ...]:
    return (("qpos", np.nan_to_num(episode.qpos)), ("action", np.nan_to_num(episode.action)))
