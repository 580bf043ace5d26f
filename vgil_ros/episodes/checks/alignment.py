"""Check of the follower's lag behind its leader: action against qpos, joint by joint."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

LONGEST = 25  # ticks looked at, either way
SLOW_S, SLOW_ROWS = 0.3, 15  # a follower slower than this is worth a warning; the second where no rate is known
MOVES, ALIKE = 0.05, 0.6  # rad, and the correlation below which nothing can be said


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name joints that lag long, or that run ahead of their action (then rows are shifted)."""
    qpos, action = episode.qpos[: episode.rows], episode.aligned_action()[: episode.rows]
    if qpos.shape != action.shape or episode.rows < 4 * LONGEST:
        return
    names = episode.joint_names or tuple(f"column {i}" for i in range(qpos.shape[1]))
    lags = {name: lag(action[:, i], qpos[:, i]) for i, name in enumerate(names)}
    known = {name: value for name, value in lags.items() if value is not None}
    if not known:
        return
    limit = round(SLOW_S * episode.rate_hz) if episode.rate_hz else SLOW_ROWS
    for name, value in known.items():
        if value > limit:
            yield Finding("warning", "lag", name, f"follows its action {value} ticks late; usual: up to {limit}")
        elif value < -1:
            yield Finding("warning", "lag", name, f"runs {-value} ticks ahead of its action: rows may be shifted")
    text = f"joints follow their actions by {np.median(list(known.values())):g} ticks (median)"
    yield Finding("info", "lag", "action", text)


def lag(action: np.ndarray, qpos: np.ndarray) -> int | None:
    """Return by how many ticks qpos follows its action, (T,) each; None where they move too little to tell.

    The lag of the highest correlation between their velocities, so that a constant offset does not matter.
    """
    if not (np.isfinite(action).all() and np.isfinite(qpos).all()) or min(np.ptp(action), np.ptp(qpos)) < MOVES:
        return None
    lead, follow = np.diff(action), np.diff(qpos)
    scores = [_correlation(lead, follow, shift) for shift in range(-LONGEST, LONGEST + 1)]
    best = int(np.argmax(scores))
    return best - LONGEST if scores[best] > ALIKE else None


def _correlation(lead: np.ndarray, follow: np.ndarray, shift: int) -> float:
    a, b = (lead[: len(lead) - shift], follow[shift:]) if shift >= 0 else (lead[-shift:], follow[:shift])
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0
