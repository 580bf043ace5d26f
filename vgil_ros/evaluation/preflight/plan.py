"""Checks of what the policy answers to what it sees now: its first action, and how fast its chunk goes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.evaluation.preflight.findings import Case, Finding
from vgil_ros.policies.reference import DataReference
from vgil_ros.policies.reference.data import PLAN_STEP_S
from vgil_ros.robots.robot_check import Verdict

STEP_ROOM = 0.15  # rad by which a first action may be further from the pose than any of training
PACES = np.geomspace(0.25, 4.0, 33)
LATER_S = np.arange(0.0, 2.01, 0.1)  # after the first row: operators wait a moment, each his own
SLOWER, FASTER = 0.7, 1.5  # of training's pace
BETTER = 0.66  # share of the distance to training's plans that another pace must leave, at the most
MOVES = 0.02  # rad that a chunk must go through, to tell a pace
NEAREST = 3  # plans that a chunk is held against
LEAST_S = 0.2  # of a chunk, to tell a pace


def check_plan(case: Case) -> Iterator[Finding]:
    """The policy's answers against the actions that training's episodes began with."""
    chunks, reference, seen = case.subject.chunks, case.reference, case.seen
    if chunks is None or not len(chunks) or reference is None or seen is None or not len(seen.qpos):
        return
    yield from _first(case, chunks, reference, np.median(seen.qpos, axis=0))
    rate = case.subject.layout.contract.rate_hz
    found = [pace for chunk in chunks if (pace := pace_of(chunk, rate, reference)) is not None]
    if not found:
        return
    pace = float(np.median(found))
    words = f"{pace:.2f} times training's pace"
    if SLOWER <= pace <= FASTER:
        yield Finding("chunk rate", "", Verdict.GO, words)
        return
    where = "rate_hz of policy.json or of the contract, or the chunk's rate in a remote mapping"
    advice = f"it is played at another rate than it was trained at: mend {where}"
    yield Finding("chunk rate", "", Verdict.NO_GO, words, f"{SLOWER:g} to {FASTER:g}", advice)


def _first(case: Case, chunks: np.ndarray, reference: DataReference, at: np.ndarray) -> Iterator[Finding]:
    """How far the first action is from where the robot stands."""
    count = min(
        case.subject.layout.joints, chunks.shape[2], len(at), reference.start.shape[1], reference.plans.shape[2]
    )
    usual = np.nanmax(np.abs(reference.plans[:, 0, :count] - reference.start[:, :count]), axis=0)
    far = np.median(np.abs(chunks[:, 0, :count] - at[:count]), axis=0)
    column = int(np.argmax(far - usual))
    name = case.subject.layout.joint_names[column]
    found, allowed = f"{far[column]:.3g} from the pose", f"{usual[column] + STEP_ROOM:.3g}"
    if far[column] > usual[column] + STEP_ROOM:
        advice = "what it sees is not what it was trained on, or its statistics are others': see the other findings"
        yield Finding("first action", name, Verdict.NO_GO, found, allowed, advice)
    else:
        yield Finding("first action", "", Verdict.GO, f"{found} at {name}, at the most", allowed)


def pace_of(chunk: np.ndarray, rate_hz: float, reference: DataReference) -> float | None:
    """How many times as fast a chunk goes as the actions that training's episodes began with.

    Args:
        chunk: (H, A). rate_hz: at which it is played.

    Returns:
        The pace at which the chunk lies nearest to a part of some of them; 1 where no pace is much nearer than their
        own; None where the chunk hardly moves or is too short to tell.
    """
    length_s = (len(chunk) - 1) / rate_hz
    width = min(chunk.shape[1], reference.plans.shape[2])
    if length_s < LEAST_S or float(np.abs(chunk - chunk[0]).max()) < MOVES:
        return None
    times = np.linspace(0, length_s, 21)
    path = np.stack([np.interp(times * rate_hz, np.arange(len(chunk)), chunk[:, i]) for i in range(width)], axis=1)
    plans = reference.plans[..., :width]
    apart = np.array([_apart(path, times * pace, plans) for pace in PACES])
    own = _apart(path, times, plans)
    if not np.isfinite(apart).any():
        return None
    best = int(np.nanargmin(apart))
    return float(PACES[best]) if not apart[best] > BETTER * own else 1.0


def _apart(path: np.ndarray, times: np.ndarray, plans: np.ndarray) -> float:
    """Distance of a path (n, A) to the nearest plans (M, P, A), taken at these times in s after any of `LATER_S`; NaN
    where the plans are too short."""
    found = [_distance(path, times + later, plans) for later in LATER_S]
    known = [value for value in found if np.isfinite(value)]
    return min(known, default=float("nan"))


def _distance(path: np.ndarray, times: np.ndarray, plans: np.ndarray) -> float:
    """Mean distance of a path (n, A) to the nearest of the plans (M, P, A), taken at these times in s; their starts are
    laid on its own."""
    places = times / PLAN_STEP_S
    if places[-1] > plans.shape[1] - 1:
        return float("nan")
    below = np.minimum(places.astype(int), plans.shape[1] - 2)
    share = (places - below)[None, :, None]
    taken = plans[:, below] * (1 - share) + plans[:, below + 1] * share  # (M, n, A)
    moved = (taken - taken[:, :1]) - (path - path[:1])[None]
    apart = np.sort(np.abs(moved).mean(axis=(1, 2)))
    apart = apart[np.isfinite(apart)][:NEAREST]
    return float(apart.mean()) if len(apart) else float("nan")
