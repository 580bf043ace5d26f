"""An episode's numbers, read at once for a page: rows, joints, how each stream came to each row."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.layout import Layout
from vgil_ros.core.streams import Flag
from vgil_ros.episodes.checks.findings import spans
from vgil_ros.episodes.checks.motion.contract import contract_of, layout_of
from vgil_ros.episodes.errors import naming_file
from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.episodes.reading.listing import Line, line_of
from vgil_ros.web.episodes.listing import State
from vgil_ros.web.episodes.pictures import shown_cameras, state_of

USUAL_HZ = 50.0  # where a file does not say how fast it was recorded
FLAG_WORDS = (
    (Flag.HELD, "held"),
    (Flag.LATEST, "latest"),
    (Flag.INTERPOLATED, "interpolated"),
    (Flag.NEAREST, "nearest"),
)


@dataclass(frozen=True, eq=False)
class Track:
    """What a page shows of an episode beside its pictures.

    Attributes:
        path, state: the file, and as what it was read.
        line: what a list says of it.
        rows: T.
        rate_hz: recorded rate; `USUAL_HZ` where the file does not say.
        cameras, depths: their names.
        joints: D names.
        qpos, action: (T, D) in the file's units. effort: as they are, or None.
        streams: S names. flags: (T, S) or None. skew_ms: (T, S) or None.
        missing: (T,) ticks that were dropped just before each row.
        contract: of the robot, where the file tells it and its columns are the file's.
        layout: those columns.
    """

    path: Path
    state: State
    line: Line
    rows: int
    rate_hz: float
    cameras: tuple[str, ...]
    depths: tuple[str, ...]
    joints: tuple[str, ...]
    qpos: np.ndarray
    action: np.ndarray
    effort: np.ndarray | None
    streams: tuple[str, ...]
    flags: np.ndarray | None
    skew_ms: np.ndarray | None
    missing: np.ndarray
    contract: Contract | None
    layout: Layout | None

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.rows / self.rate_hz

    @property
    def version(self) -> str:
        """Changes with the file, as `listing.Row.version`."""
        return f"{self.state[0]:x}-{self.state[1]:x}"

    def flag_words(self, row: int) -> list[tuple[str, str, float | None]]:
        """(stream, how its value came to the row, ms from the tick) of every stream."""
        if self.flags is None or row >= len(self.flags):
            return []
        told = []
        for column, stream in enumerate(self.streams):
            flag = int(self.flags[row, column])
            word = next((word for bit, word in FLAG_WORDS if flag & bit), "exact")
            told.append((stream, word, None if self.skew_ms is None else float(self.skew_ms[row, column])))
        return told

    def held(self) -> dict[str, tuple[tuple[int, int], ...]]:
        """Rows in which a stream's last value was repeated, by stream."""
        if self.flags is None:
            return {}
        found = {name: spans(np.flatnonzero(self.flags[:, i] & Flag.HELD)) for i, name in enumerate(self.streams)}
        return {name: rows for name, rows in found.items() if rows}

    def arms(self, row: int, values: np.ndarray) -> dict[str, np.ndarray]:
        """Positions (J,) of each arm in the contract's units, of a row of `qpos` or `action`."""
        if self.layout is None:
            return {}
        found = {}
        for arm in self.layout.arms:
            affine = arm.state  # an action's gripper is 0..1 too: drawn where the puppet's would be
            found[arm.arm.name] = affine.restore(values[row, arm.columns].astype(np.float64))
        return found


def read_track(path: Path) -> Track:
    """Read an episode's numbers. Blocks: for threads.

    Raises:
        EpisodeError: where it cannot be read.
    """
    state = state_of(path)
    with naming_file(path), EpisodeReader(path) as episode:
        rows = episode.rows
        dim = episode.qpos.shape[1]
        layout = layout_of(episode)
        effort, flags, skew = episode.effort, episode.flags, episode.skew_ns
        rate = episode.rate_hz or USUAL_HZ
        colours, depths = shown_cameras(episode)
        names = episode.joint_names
        return Track(
            path=path,
            state=state,
            line=line_of(path, path.name),
            rows=rows,
            rate_hz=rate,
            cameras=colours,
            depths=depths,
            joints=names if names and len(names) == dim else tuple(f"column {i}" for i in range(dim)),
            qpos=episode.qpos[:rows],
            action=episode.action[:rows],
            effort=None if effort is None or not np.isfinite(effort).any() else effort[:rows],
            streams=episode.streams,
            flags=None if flags is None else flags[:rows],
            skew_ms=None if skew is None else skew[:rows] / 1e6,
            missing=_missing(episode.stamp_ns, rows, rate),
            contract=contract_of(episode) if layout is not None else None,
            layout=layout,
        )


def _missing(stamp_ns: np.ndarray | None, rows: int, rate_hz: float) -> np.ndarray:
    missing = np.zeros(rows, np.int64)
    if stamp_ns is not None and rows > 1:
        steps = np.diff(stamp_ns[:rows]) * (rate_hz / 1e9)
        missing[1:] = np.clip(np.rint(steps) - 1, 0, 1_000_000).astype(np.int64)
    return missing


def thinned(values: np.ndarray, first: int, last: int, points: int) -> list[list[float]]:
    """[row, value] of rows first..last of a curve (T,), at most `points`: the least and the greatest of each stretch.

    A peak of one row is drawn at any width. What is not finite is left out.
    """
    rows = np.arange(first, last + 1)
    part = values[first : last + 1]
    if len(part) > points:
        edges = np.linspace(0, len(part), points // 2 + 1).astype(int)
        chosen: set[int] = set()
        for begin, end in itertools.pairwise(edges.tolist()):
            stretch = np.nan_to_num(part[begin:end], nan=0.0)
            chosen.update((begin + int(stretch.argmin()), begin + int(stretch.argmax())))
        at = np.array(sorted(chosen))
        rows, part = rows[at], part[at]
    known = np.isfinite(part)
    return [[int(row), round(float(value), 5)] for row, value in zip(rows[known], part[known], strict=True)]
