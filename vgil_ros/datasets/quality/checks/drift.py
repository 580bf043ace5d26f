"""Drift: something that changes steadily from the first episode of a session to the last."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vgil_ros.datasets.quality.data_set import DataSet, Found
from vgil_ros.datasets.quality.robust import TO_SIGMA, rank_correlation
from vgil_ros.episodes.checks.findings import Finding

FEWEST = 12  # episodes
SURE = 6.0  # t of the rank correlation: by chance once in a million
LARGE = 2.5  # spreads of what is left without the trend, from beginning to end


def check(data: DataSet) -> Iterator[Found]:
    """Name what drifts: start and final pose, length, speed, light and sharpness of cameras."""
    for group in data.alike:
        order = data.in_time(group)
        starts = np.stack([group[i][1].qpos.path[0] for i in order])
        ends = np.stack([group[i][1].qpos.path[-1] for i in order])
        names = (group[order[0]][0].name, group[order[-1]][0].name)
        for i in range(starts.shape[1]):
            column = group[0][0].column(i)
            yield from _one(starts[:, i], "start pose", column, "", 0.02, names)
            yield from _one(ends[:, i], "final pose", column, "", 0.02, names)
        rows = np.array([group[i][0].rows for i in order], np.float64)
        yield from _one(rows, "length", "episode", " rows", 0.1 * float(np.median(rows)), names)
        speeds = np.array([group[i][1].speed for i in order])
        yield from _one(speeds, "speed", "qpos", " rad/s", 0.1 * float(np.median(speeds)), names)
    for (camera, _), looks in data.cameras.items():
        order = data.in_time(looks)
        names = (looks[order[0]][0].name, looks[order[-1]][0].name)
        light = np.array([np.median(looks[i][1].brightness) for i in order])
        yield from _one(light, "brightness", camera, " grey levels", 0.05 * float(np.median(light)), names)
        sharp = np.array([np.median(looks[i][1].sharpness) for i in order])
        yield from _one(sharp, "sharpness", camera, "", 0.2, names)


def _one(
    values: np.ndarray, what: str, stream: str, unit: str, least: float, names: tuple[str, str]
) -> Iterator[Found]:
    """Judge one quantity (N,) in the order of time; `least` is the smallest change worth a word."""
    change = drift_of(values)
    if change is None or abs(change) < least:
        return
    third = max(1, len(values) // 3)
    before, after = np.median(values[:third]), np.median(values[-third:])
    message = (
        f"{what} drifts from {before:.3g} to {after:.3g}{unit} between {names[0]} and {names[1]}; expected: no trend"
    )
    advice = (
        "look what changed over the session: a warm motor, a loose mount, daylight, practice; record the two ends again"
    )
    yield Found(None, Finding("warning", "drift", stream, message), advice)


def drift_of(values: np.ndarray) -> float | None:
    """Change from first to last where values (N,) follow their order beyond doubt; else None."""
    count = len(values)
    if count < FEWEST or not np.isfinite(values).all():
        return None
    rho = rank_correlation(values)
    certainty = abs(rho) * np.sqrt((count - 2) / max(1e-9, 1 - rho**2))
    if certainty < SURE:
        return None
    at = np.linspace(-0.5, 0.5, count)
    slope = float((at * (values - values.mean())).sum() / (at**2).sum())
    rest = values - slope * at
    sigma = TO_SIGMA * float(np.median(np.abs(rest - np.median(rest))))
    return slope if abs(slope) > LARGE * sigma else None
