"""Open episodes of one process, the most recently used ones."""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vgil_ros.episodes.reader import EpisodeReader
from vgil_ros.training.data.episode_stats import aligned_actions, check_rows


@dataclass(frozen=True)
class OpenEpisode:
    """An open file with its small arrays.

    Attributes:
        qpos: (T, D) and action: (T, A), aligned; float32.
        stamp_ns: (T,) int64 and period_ns: from tick to tick; None where the layout does not store them.
    """

    reader: EpisodeReader
    qpos: np.ndarray
    action: np.ndarray
    stamp_ns: np.ndarray | None
    period_ns: int | None


def period_of(rate_hz: float | None) -> int | None:
    """Time from tick to tick in ns, None where the rate is unknown."""
    return round(1e9 / rate_hz) if rate_hz else None


class Handles:
    """Opens each episode once in each process and keeps it open as long as the process' limit on files allows."""

    def __init__(self, paths: Sequence[Path], *, base: bool) -> None:
        self._paths, self._base = tuple(paths), base
        self._open: OrderedDict[int, OpenEpisode] = OrderedDict()
        self._process = os.getpid()
        self._limit = max(8, min(512, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4))

    def get(self, number: int) -> OpenEpisode:
        """Give an open episode by its place.

        Raises:
            EpisodeError: it can no longer be read.
            TrainingError: its numbers are not finite.
        """
        if self._process != os.getpid():  # a fork: HDF5's handles are the parent's, and not closed here
            self._parents, self._open, self._process = self._open, OrderedDict(), os.getpid()
        found = self._open.get(number)
        if found is None:
            found = self._open[number] = self._read(self._paths[number])
            if len(self._open) > self._limit:
                self._open.popitem(last=False)[1].reader.close()
        self._open.move_to_end(number)
        return found

    def _read(self, path: Path) -> OpenEpisode:
        reader = EpisodeReader(path)
        try:
            action = aligned_actions(reader, base=self._base)
            check_rows(path, "action", action)
            return OpenEpisode(
                reader=reader,
                qpos=reader.qpos.astype(np.float32),
                action=action.astype(np.float32),
                stamp_ns=reader.stamp_ns,
                period_ns=period_of(reader.rate_hz),
            )
        except BaseException:
            reader.close()
            raise

    def close(self) -> None:
        """Close the files of this process."""
        if self._process == os.getpid():
            for one in self._open.values():
                one.reader.close()
        self._open.clear()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_open": OrderedDict(), "_process": -1}
