"""The rate of the rows is one that the sensors have: else most of what a policy learns from was made up in between."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.episodes.checks.findings import Finding
from vgil_ros.episodes.checks.frames import source_stamps
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.view import Episode

ROWS_A_FRAME = 2.5  # a camera of 30 frames/s beside arms at 50 Hz has 1.7
FEWEST = 50  # rows below which nothing is said
STRAIGHT, REGULAR = 0.4, 0.6  # shares: of moving rows without a bend, and of bends that are equally far apart


def check(episode: Episode, scan: Scan) -> Iterator[Finding]:
    """Name cameras that give far fewer images than there are rows, and joints that bend only every few rows."""
    rate = episode.rate_hz
    if rate is None or episode.rows < FEWEST:
        return
    for name in episode.camera_names:
        stamps = source_stamps(episode, name)
        frames = 0 if stamps is None else len(np.unique(stamps))
        if frames > 1 and episode.rows / frames > ROWS_A_FRAME:
            own = (frames - 1) * 1e9 / float(np.ptp(stamps)) if stamps is not None else 0.0
            message = (
                f"each image stands in {episode.rows / frames:.1f} rows: {own:.1f} frames/s in rows of {rate:g} Hz;"
                f" usual: up to {ROWS_A_FRAME:g} rows; a lower rate_hz records the same with fewer rows"
            )
            yield Finding("warning", "rates", name, message)
    every = interpolated_every(episode.qpos[: episode.rows])
    if every:
        message = (
            f"joints have a value of their own every {every} rows, between them are straight lines: measured at about"
            f" {rate / every:.0f} Hz, rows of {rate:g} Hz; usual: up to a row a measurement"
        )
        yield Finding("warning", "rates", "qpos", message)


def interpolated_every(qpos: np.ndarray) -> int | None:
    """Return after how many rows joints (T, D) bend, where that is regular and more than each row; else None.

    Linear interpolation between slower samples leaves straight lines: second differences of 0, but at the samples.
    """
    values = qpos.astype(np.float64)
    if not np.isfinite(values).all():
        return None
    steps = np.abs(np.diff(values, axis=0)).max(axis=1)
    bends = np.abs(np.diff(values, n=2, axis=0)).max(axis=1)
    rounding = 4 * np.spacing(np.float32(max(1.0, np.abs(values).max())))
    moving = np.minimum(steps[1:], steps[:-1]) > 100 * rounding
    if moving.sum() < FEWEST // 2:
        return None
    straight = float(np.mean(bends[moving] <= rounding))
    gaps = np.diff(np.flatnonzero(moving & (bends > rounding)))
    if straight < STRAIGHT or len(gaps) < 10:
        return None
    every = int(np.bincount(gaps).argmax())
    return every if every >= 2 and np.mean(gaps == every) >= REGULAR else None
