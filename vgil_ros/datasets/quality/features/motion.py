"""How an arm moves through one episode: when it begins and ends, how fast and smoothly, how its grippers change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vgil_ros.datasets.quality.features.smoothness import ldlj, lightly_smoothed, sparc
from vgil_ros.datasets.quality.features.track import Track, track_of
from vgil_ros.episodes.checks.motion.contract import layout_of
from vgil_ros.episodes.view import Episode

FEWEST_ROWS = 8
ASSUMED_HZ = 50.0  # where no rate is stored
MOVED, MOVED_SHARE = 0.01, 0.02  # rad, and of a column's travel: less is no motion
TURN_SHARE, LEAST_TRAVEL = 0.15, 0.05  # of a gripper's travel; the travel below which it was not used
PLATEAU_S = 0.2
ARM = 7  # columns of an arm whose joints have no names, the gripper last (ALOHA)


@dataclass(frozen=True, eq=False)
class Motion:
    """What is known of a motion.

    Attributes:
        qpos, action: the two streams, actions beside the observations that they belong to.
        idle_start, idle_end: rows before anything moves, and after all has come to rest.
        speed: rad/s, the 95th percentile over rows of all joints together, grippers left out.
        ldlj, sparc: smoothness between the idle ends.
        turns: rows at which a gripper's action turns round, by its column.
        row_marks: (N,) uint64, a number for each row in which something moves, the same for the same numbers.
    """

    qpos: Track
    action: Track
    idle_start: int
    idle_end: int
    speed: float
    ldlj: float
    sparc: float
    turns: dict[int, np.ndarray]
    row_marks: np.ndarray


def grippers_of(episode: Episode) -> tuple[int, ...]:
    """Columns of qpos that are grippers: by the contract, by their names, or as ALOHA's files have them."""
    layout = layout_of(episode)
    if layout is not None:
        return tuple(arm.gripper_column for arm in layout.arms if arm.gripper_column is not None)
    columns = episode.qpos.shape[1]
    if episode.joint_names is not None:
        return tuple(i for i, name in enumerate(episode.joint_names[:columns]) if "gripper" in name.lower())
    return tuple(range(ARM - 1, columns, ARM)) if columns % ARM == 0 else ()


def motion_of(episode: Episode) -> Motion | None:
    """Follow an episode's joints; None where too few rows hold numbers."""
    qpos = episode.qpos[: episode.rows].astype(np.float64)
    action = episode.aligned_action()[: episode.rows].astype(np.float64)
    if qpos.ndim != 2 or action.ndim != 2 or not qpos.shape[1] or not action.shape[1]:
        return None
    rows = np.flatnonzero(np.isfinite(qpos).all(axis=1) & np.isfinite(action).all(axis=1))
    if len(rows) < FEWEST_ROWS:
        return None
    qpos, action = qpos[rows], action[rows]
    rate = episode.rate_hz or ASSUMED_HZ
    grippers = grippers_of(episode)
    layout = layout_of(episode)
    limits = None if layout is None else (layout.lower[: qpos.shape[1]], layout.upper[: qpos.shape[1]])
    if limits is not None and len(limits[0]) != qpos.shape[1]:
        limits = None  # an end marker, which has none
    least = max(3, round(PLATEAU_S * rate))
    first, stop = _active(qpos)
    arm = np.delete(qpos, [i for i in grippers if i < qpos.shape[1]], axis=1)
    velocity = np.diff(lightly_smoothed(arm if arm.shape[1] else qpos), axis=0) * rate
    speed = np.sqrt((velocity**2).sum(axis=1))
    return Motion(
        qpos=track_of(qpos, rows, limits, least, grippers),
        action=track_of(action, rows, limits if action.shape == qpos.shape else None, least, grippers),
        idle_start=first,
        idle_end=len(qpos) - stop,
        speed=float(np.percentile(speed, 95)),
        ldlj=ldlj(velocity[first:stop], rate),
        sparc=sparc(speed[first:stop], rate),
        turns={i: rows[turning_points(action[:, i])] for i in grippers if i < action.shape[1]},
        row_marks=_row_marks(np.concatenate([qpos, action], axis=1)),
    )


def _active(qpos: np.ndarray) -> tuple[int, int]:
    """(first, stop) of the rows between the idle start and the idle end: all of them where nothing moves."""
    least = np.maximum(MOVED_SHARE * np.ptp(qpos, axis=0), MOVED)
    moved = (np.abs(qpos - np.median(qpos[:3], axis=0)) > least).any(axis=1)
    apart = (np.abs(qpos - np.median(qpos[-3:], axis=0)) > least).any(axis=1)
    if not moved.any() or not apart.any():
        return 0, len(qpos)
    first, stop = int(np.argmax(moved)), len(qpos) - int(np.argmax(apart[::-1]))
    return (first, stop) if first < stop else (0, len(qpos))


def turning_points(values: np.ndarray) -> np.ndarray:
    """Rows (N,) at which a gripper (T,) turns round by more than a share of its travel."""
    travel = float(np.ptp(values))
    if travel < LEAST_TRAVEL:
        return np.zeros(0, int)
    least, turns = TURN_SHARE * travel, []
    way, extreme, at = 0, float(values[0]), 0
    for row, value in enumerate(values.tolist()):
        if way == 0:
            if abs(value - extreme) > least:
                way, extreme, at = (1 if value > extreme else -1), value, row
        elif (value - extreme) * way > 0:
            extreme, at = value, row
        elif (extreme - value) * way > least:
            turns.append(at)
            way, extreme, at = -way, value, row
    return np.array(turns, int)


def _row_marks(values: np.ndarray) -> np.ndarray:
    """(N,) uint64: a mark for each row that differs from the one before."""
    kept = values[1:][np.any(np.abs(np.diff(values, axis=0)) > 0, axis=1)]
    bits = np.ascontiguousarray(kept, np.float32).view(np.uint32).astype(np.uint64)
    drawn = np.random.default_rng(0).integers(1, 1 << 62, size=(values.shape[1],), dtype=np.uint64)
    factors: np.ndarray = np.bitwise_or(drawn, np.uint64(1))  # odd, so that no two numbers become one
    mixed = (bits + np.uint64(0x9E3779B9)) * factors
    mixed ^= mixed >> np.uint64(29)
    marks: np.ndarray = np.unique((mixed * factors[::-1]).sum(axis=1, dtype=np.uint64))
    return marks
