"""Rows of one episode at a time, from the node's thread to the episode writer; closing happens beside it."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.rows import Row, RowBuilder
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import ObservationBuilder
from vgil_ros.episodes.errors import Overrun
from vgil_ros.episodes.meta import EpisodeMeta
from vgil_ros.episodes.writer import EpisodeWriter


@dataclass(frozen=True)
class Recording:
    """What is the same for all episodes of a session."""

    contract: Contract
    contract_text: str
    streams: tuple[StreamSpec, ...]
    dataset_dir: Path
    task: str = ""
    image_format: str = "jpeg"
    quality: int = 90
    min_free_bytes: int = 2 * 1024**3


class EpisodeSink:
    """Opens an episode at its first row, feeds it, and closes it in a thread of its own."""

    def __init__(self, recording: Recording, observations: ObservationBuilder) -> None:
        self.recording = recording
        self._observations = observations
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="close-episode")
        self._writer: EpisodeWriter | None = None
        self._builder: RowBuilder | None = None
        self.dropped = 0

    @property
    def rows(self) -> int:
        """Rows of the running episode."""
        return self._writer.rows if self._writer else 0

    def open(self) -> None:
        """Begin an episode; its file is made with its first row."""
        self._builder, self._writer, self.dropped = RowBuilder(self._observations), None, 0

    def push(self, sample: Sample, marker: float, action: np.ndarray | None = None) -> None:
        """Take a sample, and the action (D,) done at it where no master gave it.

        Raises:
            VgilError: where no file can be made, or writing has stopped (disk full).
        """
        assert self._builder is not None
        row = self._builder.push(sample, marker, action)
        if row is not None:
            self._append(row)

    def _append(self, row: Row) -> None:
        if self._writer is None:
            self._writer = self._make_writer(row)
        try:
            self._writer.append(
                row.timestep,
                row.action,
                stamp_ns=row.sample.stamp_ns,
                skew_ns=row.sample.skew_ns,
                flags=row.sample.flags,
            )
        except Overrun:
            if row.action is None or self._writer.overruns > self.recording.contract.sync.max_hold:
                raise

    def _make_writer(self, row: Row) -> EpisodeWriter:
        r = self.recording
        meta = EpisodeMeta.from_contract(
            r.contract,
            r.contract_text,
            r.streams,
            row.timestep.observation,
            task=r.task,
            image_format="raw" if r.image_format == "raw" else "jpeg",
            quality=r.quality,
        )
        return EpisodeWriter(r.dataset_dir, meta, min_free_bytes=r.min_free_bytes)

    def close(self, success: bool | None = None, **attributes: Any) -> Future[Path | None]:
        """Save the episode; the future gives its path, None where it had no rows, or raises a VgilError."""
        builder, writer, dropped = self._builder, self._writer, self.dropped
        self._builder = self._writer = None

        def work() -> Path | None:
            if writer is None or builder is None:
                return None
            if writer.error is None and (last := builder.end()) is not None:
                sample = last.sample
                writer.append(last.timestep, None, stamp_ns=sample.stamp_ns, skew_ns=sample.skew_ns, flags=sample.flags)
            return writer.close(success, dropped_rows=dropped, **attributes)

        return self._pool.submit(work)

    def discard(self) -> Future[None]:
        """Throw the running episode away."""
        writer = self._writer
        self._builder = self._writer = None
        return self._pool.submit(writer.discard if writer else lambda: None)
