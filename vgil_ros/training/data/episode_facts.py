"""What an episode's numbers and attributes say of it as a demonstration: idle rows, holes, steps, odd values.

Gathered in the scan and kept with the statistics; `data_report` judges them over a whole data set.
"""

from __future__ import annotations

import numpy as np

from vgil_ros.core.config import StrictModel
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.motion import limits
from vgil_ros.episodes.checks.quick_check import END, START
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.reader import EpisodeReader

STILL = 0.01  # rad (grippers: of 0..1) within which everything stays in an idle stretch
STILL_ROWS = 10  # rows of such a stretch
HOLE = 2.5  # periods between two rows, above which rows are missing
LATE = 1.5  # periods that an action may come later than its place in a chunk says
JPEGS_AT_ONCE = 64


class EpisodeFacts(StrictModel):
    """What is told of an episode.

    Attributes:
        success: None where nobody said. aborted: why the recording was broken off, None where it was not.
        idle: rows in which nothing moves. holes: places where rows are missing. lost_s: the time missing there.
        beside_state: largest difference between an action and the measured positions of its row, rad; None where they
            cannot be compared.
        odd: why the numbers cannot be this robot's, one text for each finding; suspect: the same of what may be.
    """

    success: bool | None = None
    aborted: str | None = None
    idle: int = 0
    holes: int = 0
    lost_s: float = 0.0
    beside_state: float | None = None
    odd: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()


def read_facts(episode: EpisodeReader, qpos: np.ndarray, action: np.ndarray) -> EpisodeFacts:
    """Look at an open episode.

    Args:
        qpos: (T, D) and action: (T, A) aligned, both finite.
    """
    stamps = episode.stamp_ns
    stamps = None if stamps is None or len(stamps) < len(qpos) else stamps[: len(qpos)]
    holes, lost_s = find_holes(stamps, period_of(episode.rate_hz))
    beyond = list(limits.check(episode, Scan()))  # of the contract that is stored in the file, where there is one
    aborted = episode.attrs.get("aborted")
    return EpisodeFacts(
        success=episode.success,
        aborted=None if aborted is None or aborted is False else str(aborted),
        idle=int(idle_rows(qpos, action).sum()),
        holes=holes,
        lost_s=lost_s,
        beside_state=_beside_state(qpos, action, episode.action[: len(qpos)]),
        odd=tuple(_words(finding) for finding in beyond if finding.severity == "error"),
        suspect=tuple(_words(finding) for finding in beyond if finding.severity != "error"),
    )


def period_of(rate_hz: float | None) -> int | None:
    """Time from tick to tick in ns, None where the rate is unknown."""
    return round(1e9 / rate_hz) if rate_hz else None


def idle_rows(qpos: np.ndarray, action: np.ndarray) -> np.ndarray:
    """(T,) bool: rows of a stretch of `STILL_ROWS` or more in which no joint moves and none is told to."""
    values = np.concatenate([qpos, action], axis=1)
    idle = np.zeros(len(values), bool)
    if len(values) < STILL_ROWS:
        return idle
    windows = np.lib.stride_tricks.sliding_window_view(values, STILL_ROWS, axis=0)
    still = (np.ptp(windows, axis=2) <= STILL).all(axis=1)
    for shift in range(STILL_ROWS):
        idle[shift : shift + len(still)] |= still
    return idle


def regular_period(stamps: np.ndarray, period_ns: int) -> float:
    """Time from row to row in ns: the mean of the steps over which no row is missing, or the stated one if longer."""
    steps = np.diff(stamps)
    usual = max(float(period_ns), float(np.median(steps))) if len(steps) else float(period_ns)
    near = steps[(steps > 0) & (steps < LATE * usual)]
    return max(float(period_ns), float(near.mean())) if len(near) else usual


def find_holes(stamps: np.ndarray | None, period_ns: int | None) -> tuple[int, float]:
    """(places where rows are missing, seconds missing there); none where stamps (T,) or the period are unknown."""
    if stamps is None or period_ns is None or len(stamps) < 2:
        return 0, 0.0
    period, steps = regular_period(stamps, period_ns), np.diff(stamps)
    wide = steps[(steps > HOLE * period) | (steps <= 0)]
    return len(wide), float(np.clip(wide - period, 0, None).sum() / 1e9)


def chunk_ends(stamps: np.ndarray | None, period_ns: int | None, rows: int) -> np.ndarray:
    """(T,) for each row, the first later row that is not where a chunk from it would have it, T where there is none.

    Row t + k is the action of k periods after t; where rows are missing between them it comes later, and what a robot
    should do in between nobody knows.
    """
    ends = np.full(rows, rows)
    if stamps is None or period_ns is None or len(stamps) < rows:
        return ends
    stamps = stamps[:rows]
    period = regular_period(stamps, period_ns)
    late = stamps.astype(np.float64) - stamps[0] - np.arange(rows) * period
    if np.ptp(late) <= LATE * period:
        return ends
    for row in range(rows):
        off = np.flatnonzero(np.abs(late[row:] - late[row]) > LATE * period)
        if len(off):
            ends[row] = row + off[0]
    return ends


def _beside_state(qpos: np.ndarray, aligned: np.ndarray, stored: np.ndarray) -> float | None:
    """Largest difference between actions and positions, as the layout pairs them or as they lie in the file."""
    if qpos.shape != aligned.shape or qpos.shape != stored.shape:
        return None
    return float(min(np.abs(aligned - qpos).max(), np.abs(stored - qpos).max()))


def _words(finding: Finding) -> str:
    return str(finding).removeprefix(f"{finding.severity}: ")


def broken_jpegs(episode: EpisodeReader, camera: str) -> tuple[tuple[int, int], ...]:
    """Spans (first, last) of rows whose JPEG cannot be read, or has no proper start and end. Nothing is decoded."""
    dataset, rows = episode.file[episode.place(camera)], episode.rows
    broken: list[int] = []
    for first in range(0, rows, JPEGS_AT_ONCE):
        try:
            block = dataset[first : min(first + JPEGS_AT_ONCE, rows)]
        except (OSError, RuntimeError):  # a damaged place: which row it is
            broken += [row for row in range(first, min(first + JPEGS_AT_ONCE, rows)) if not _readable(dataset, row)]
            continue
        broken += [first + place for place, data in enumerate(block) if not _whole(data)]
    return spans(broken)


def _readable(dataset: object, row: int) -> bool:
    try:
        return _whole(dataset[row])  # type: ignore[index]
    except (OSError, RuntimeError):
        return False


def _whole(data: object) -> bool:
    content = (data if isinstance(data, bytes) else np.asarray(data).tobytes()).rstrip(b"\0")
    return content.startswith(START) and content.endswith(END)
