"""What an episode's numbers and attributes say of it as a demonstration: idle rows, holes, steps, odd values.

Gathered in the scan and kept with the statistics; `data_report` judges them over a whole data set.
"""

from __future__ import annotations

import math
import os
from typing import Any

import h5py
import numpy as np

from vgil_ros.core.config import StrictModel
from vgil_ros.core.frame import JPEG_END, JPEG_START, is_whole_image
from vgil_ros.core.history import row_stamps
from vgil_ros.episodes.checks.findings import Finding, spans
from vgil_ros.episodes.checks.motion import limits
from vgil_ros.episodes.checks.scan import Scan
from vgil_ros.episodes.checks.states import actions_are_positions
from vgil_ros.episodes.checks.timing.gaps import find_gaps, regular_period
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.view import Episode

STILL = 0.01  # rad (grippers: of 0..1) within which everything stays in an idle stretch
STILL_ROWS = 10  # rows of such a stretch
CUT = ("stopped", "repaired")  # attributes of an episode that may lack its end
LATE = 1.5  # periods that an action may come later than its place in a chunk says
JPEGS_AT_ONCE, BYTES_AT_ONCE = 64, 16 << 20  # rows, and their bytes, in one read


class EpisodeFacts(StrictModel):
    """What is told of an episode.

    Attributes:
        success: None where nobody said. aborted: why the recording was broken off, None where it was not.
        cut: what the file says of rows that its end lacks (a full disk, a repair), None where it says nothing.
        idle: rows in which nothing moves. still: rows before the first motion.
        holes: places where rows are missing. lost_s: the time missing there.
        stays: whether the actions are the measured positions of their own rows.
        corrected: spans (first, last) of rows that a person gave in a policy's rollout; None of a demonstration.
        odd: why the numbers cannot be this robot's, one text for each finding; suspect: the same of what may be.
    """

    success: bool | None = None
    aborted: str | None = None
    cut: str | None = None
    idle: int = 0
    still: int = 0
    holes: int = 0
    lost_s: float = 0.0
    stays: bool = False
    corrected: tuple[tuple[int, int], ...] | None = None
    odd: tuple[str, ...] = ()
    suspect: tuple[str, ...] = ()


def read_facts(episode: Episode, qpos: np.ndarray, action: np.ndarray) -> EpisodeFacts:
    """Look at an open episode.

    Args:
        qpos: (T, D) and action: (T, A) aligned, both finite.
    """
    holes, lost_s = holes_of(row_stamps(episode.stamp_ns, len(qpos)), period_of(episode.rate_hz))
    beyond = list(limits.check(episode, Scan()))  # of the contract that is stored in the file, where there is one
    cut = [f"{key}: {episode.attrs[key]}" for key in CUT if key in episode.attrs]
    return EpisodeFacts(
        success=episode.success,
        aborted=episode.aborted,
        cut="; ".join(cut) or None,
        idle=int(idle_rows(qpos, action).sum()),
        still=still_rows(qpos, action),
        holes=holes,
        lost_s=lost_s,
        stays=actions_are_positions(qpos, action, episode.action[: len(qpos)]),
        corrected=corrected_spans(episode),
        odd=tuple(_words(finding) for finding in beyond if finding.severity == "error"),
        suspect=tuple(_words(finding) for finding in beyond if finding.severity != "error"),
    )


def corrected_spans(episode: Episode) -> tuple[tuple[int, int], ...] | None:
    """Spans (first, last) of rows that a person gave in a policy's rollout; None of a demonstration, where all are.

    A demonstration has no `intervention`, also in a table beside rollouts (`stored.without_filled`).
    """
    if episode.intervention is None:
        return () if episode.attrs.get("rollout", False) else None
    return spans(np.flatnonzero(episode.intervention[: episode.rows] == 1))


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


def still_rows(qpos: np.ndarray, action: np.ndarray) -> int:
    """How many rows come before anything moves, or is told to."""
    values = np.concatenate([qpos, action], axis=1)
    moved = np.abs(values - values[:1]).max(axis=1, initial=0.0) > STILL
    return int(np.argmax(moved)) if moved.any() else 0


def holes_of(stamps: np.ndarray | None, period_ns: int | None) -> tuple[int, float]:
    """(places where rows are missing, seconds missing there); none where stamps (T,) or the period are unknown."""
    if stamps is None or period_ns is None or len(stamps) < 2:
        return 0, 0.0
    gaps = find_gaps(stamps, period_ns)
    return len(gaps.rows) + len(gaps.backward), gaps.lost_s


def chunk_ends(stamps: np.ndarray | None, period_ns: int | None, rows: int) -> np.ndarray:
    """(T,) for each row, the first later row that is not where a chunk from it would have it, T where there is none.

    Row t + k is the action of k periods after t; where rows are missing between them it comes later, and what a robot
    should do in between nobody knows.
    """
    stamps = row_stamps(stamps, rows)
    if stamps is None or period_ns is None or not rows:
        return np.full(rows, rows)
    period = regular_period(stamps, period_ns)
    late = stamps.astype(np.float64) - stamps[0] - np.arange(rows) * period
    return _first_off(late, LATE * period)


def _first_off(values: np.ndarray, most: float) -> np.ndarray:
    """(T,) for each place of `values` the first later one that is more than `most` from it, T where there is none.

    By ranges of 1, 2, 4, ... values, the widest first: T log T steps, without a loop over the places.
    """
    count = len(values)
    ends = np.arange(1, count + 1)
    if np.ptp(values) <= most:
        return np.full(count, count)
    lows, highs = [values], [values]
    while 2 ** len(lows) < count:
        half = 2 ** (len(lows) - 1)
        lows.append(np.minimum(lows[-1][:-half], lows[-1][half:]))
        highs.append(np.maximum(highs[-1][:-half], highs[-1][half:]))
    for power in reversed(range(len(lows))):
        low, high = lows[power], highs[power]
        here = np.flatnonzero(ends < len(low))
        start = ends[here]
        near = (high[start] - values[here] <= most) & (values[here] - low[start] <= most)
        ends[here[near]] += 2**power
    return ends


def _words(finding: Finding) -> str:
    return str(finding).removeprefix(f"{finding.severity}: ")


def broken_jpegs(episode: EpisodeReader, camera: str) -> tuple[tuple[int, int], ...]:
    """Spans (first, last) of rows whose JPEG cannot be read, or has no proper start and end. Nothing is decoded."""
    dataset = episode.file[episode.place(camera)]
    unsure = _not_seen_whole(episode, camera, dataset)
    at_once = rows_at_once(dataset) if len(unsure) == episode.rows else 1
    broken: list[int] = []
    for first in range(0, len(unsure), at_once):
        rows = unsure[first : first + at_once]
        try:
            block = dataset[rows[0] : rows[-1] + 1]
        except (OSError, RuntimeError):  # a damaged place: which row it is
            broken += [row for row in rows if not _readable(dataset, row)]
            continue
        broken += [row for row, data in zip(rows, block, strict=True) if not _whole(data)]
    return spans(broken)


def rows_at_once(dataset: h5py.Dataset) -> int:
    """Rows of JPEGs that are read together: at most `BYTES_AT_ONCE`; one by one where none says how long it is."""
    text = h5py.check_string_dtype(dataset.dtype)
    if h5py.check_vlen_dtype(dataset.dtype) is not None or (text is not None and text.length is None):
        return 1
    row: int = math.prod(dataset.shape[1:]) * dataset.dtype.itemsize
    return max(1, min(JPEGS_AT_ONCE, BYTES_AT_ONCE // max(row, 1)))


def _not_seen_whole(episode: EpisodeReader, camera: str, dataset: h5py.Dataset) -> list[int]:
    """Rows whose first and last bytes, where `compress_len` says they are, are not a JPEG's; all where it cannot say.

    Of a file of ours, whose chunks are plain bytes at a known place, that is all that has to be read of its images.
    """
    every, stated = list(range(episode.rows)), episode.compress_len
    plain = dataset.chunks is not None and len(dataset.chunks) == 2 and dataset.chunks[0] == 1
    if episode.layout != "vgil" or stated is None or not plain or dataset.id.get_create_plist().get_nfilters():
        return every
    number = episode.camera_names.index(camera)
    if stated.ndim != 2 or len(stated) <= number or stated.shape[1] < episode.rows:
        return every
    lengths = np.nan_to_num(stated[number, : episode.rows], posinf=0, neginf=0).astype(np.int64)
    handle = episode.file.id.get_vfd_handle()
    return [row for row in every if not _ends_well(handle, dataset, row, int(lengths[row]))]


def _ends_well(handle: int, dataset: h5py.Dataset, row: int, length: int) -> bool:
    """Whether a row's bytes at 0 and up to `length` are a JPEG's first and last; False also where that is not known."""
    if not len(JPEG_START) + len(JPEG_END) <= length <= dataset.shape[1]:
        return False
    try:
        first, last = (_two_bytes(handle, dataset, row, place) for place in (0, length - len(JPEG_END)))
    except (OSError, RuntimeError, ValueError):
        return False
    return first == JPEG_START and last == JPEG_END


def _two_bytes(handle: int, dataset: h5py.Dataset, row: int, place: int) -> bytes:
    """Two bytes of a row, straight from the file; they may lie in two chunks."""
    width = dataset.chunks[1]
    here = min(2, width - place % width)
    found = b""
    for start, count in ((place, here), (place + here, 2 - here)):
        if not count:
            continue
        chunk: Any = dataset.id.get_chunk_info_by_coord((row, start - start % width))
        if chunk.byte_offset is None:
            return b""
        found += os.pread(handle, count, chunk.byte_offset + start % width)
    return found


def _readable(dataset: object, row: int) -> bool:
    try:
        return _whole(dataset[row])  # type: ignore[index]
    except (OSError, RuntimeError):
        return False


def _whole(data: object) -> bool:
    content = (data if isinstance(data, bytes) else np.asarray(data).tobytes()).rstrip(b"\0")
    return is_whole_image(content)
