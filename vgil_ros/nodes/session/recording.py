"""Rows of one episode at a time, from the node's thread to the episode writer; closing happens beside it."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as ClosingTakesLong
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import EpisodeRow, ObservationBuilder, RowBuilder
from vgil_ros.episodes.errors import Overrun
from vgil_ros.episodes.meta import EpisodeMeta
from vgil_ros.episodes.writer import EpisodeWriter
from vgil_ros.nodes.base.alerts import Alerts


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

    def _append(self, row: EpisodeRow) -> None:
        if self._writer is None:
            self._writer = self._make_writer(row)
        try:
            self._writer.append(
                row.timestep,
                row.action,
                stamp_ns=row.sample.stamp_ns,
                skew_ns=row.sample.skew_ns,
                flags=row.sample.flags,
                arrival_ns=row.sample.arrival_ns,
            )
        except Overrun:
            if row.action is None or self._writer.overruns > self.recording.contract.sync.max_hold:
                raise

    def _make_writer(self, row: EpisodeRow) -> EpisodeWriter:
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
                try:
                    writer.append(
                        last.timestep,
                        None,
                        stamp_ns=sample.stamp_ns,
                        skew_ns=sample.skew_ns,
                        flags=sample.flags,
                        arrival_ns=sample.arrival_ns,
                    )
                except VgilError as error:  # the rows before it are good
                    attributes["final_left_out"] = str(error)
            return writer.close(success, dropped_rows=dropped, **attributes)

        return self._pool.submit(work)

    def notes(self) -> tuple[str, ...]:
        """In words: what the running episode lacks; see `EpisodeWriter.notes`."""
        return self._writer.notes() if self._writer else ()

    def discard(self) -> Future[None]:
        """Throw the running episode away."""
        writer = self._writer
        self._builder = self._writer = None
        return self._pool.submit(writer.discard if writer else lambda: None)


REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, alerts: Alerts, sink: EpisodeSink | None, marker: bool) -> None:
        self._alerts, self._sink, self._marker = alerts, sink, marker
        self._commands: dict[int, np.ndarray] = {}
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=REMEMBER)
        self._acted = -1

    @classmethod
    def of(cls, alerts: Alerts, recording: Recording | None, dry_run: bool) -> RolloutSink:
        """Make one; None records nothing. Neither does a dry run, which sends nothing."""
        if recording is not None and dry_run:
            alerts.log("dry run: no rollout is recorded, as no command is sent", severity="warning")
        if recording is None or dry_run:
            return cls(alerts, None, False)
        sink = EpisodeSink(recording, ObservationBuilder(Layout(recording.contract), recording.streams))
        return cls(alerts, sink, recording.contract.end_marker is not None)

    def open(self) -> None:
        """An episode begins."""
        self._commands.clear()
        self._waiting.clear()
        self._acted = -1
        if self._sink:
            self._sink.open()

    def acted(self, tick: int, command: Command) -> None:
        """This command was sent at this tick."""
        if self._sink is None:
            return
        action = np.append(command.positions, 0.0) if self._marker else command.positions
        self._commands[tick] = action.astype(np.float32)
        self._commands.pop(tick - REMEMBER, None)
        self._acted = tick
        self._pair()

    def observe(self, tick: int, sample: Sample) -> None:
        """The observation of a tick came out, before or after its command; ticks without one are left out."""
        if self._sink is not None:
            self._waiting.append((tick, sample))
            self._pair()

    def _pair(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._acted:
            tick, sample = self._waiting.popleft()
            action = self._commands.pop(tick, None)
            if action is not None:
                self._push(sample, action)

    def _push(self, sample: Sample, action: np.ndarray) -> None:
        assert self._sink is not None
        try:
            self._sink.push(sample, 0.0, action)
        except VgilError as error:
            self._alerts.warn_once("rollout", f"the rollout is recorded no further: {error}")

    def close(self, success: bool | None) -> Future[Path | None]:
        """Save it; the future gives its file, None where nothing is recorded."""
        if self._sink:
            return self._sink.close(success, rollout=True)
        return _done()

    def discard(self) -> Future[None]:
        """Throw it away."""
        return self._sink.discard() if self._sink else _done()


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future


TIMEOUT_S = 5.0  # then it is said; the process does not end before the file is closed all the same


class EpisodeClosing:
    """The file that is being closed, if one is."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._open: tuple[Future[Any], bool] | None = None  # and whether it is to be kept

    def begin(self, future: Future[Any], *, keep: bool) -> None:
        """An episode has ended; the future gives its file, None where it has none."""
        self._open = (future, keep)

    @property
    def ended(self) -> bool:
        """Whether a file has been closed that `take` has not been asked about."""
        return self._open is not None and self._open[0].done()

    def take(self, success: bool | None) -> bool:
        """Say how the closing went that has ended, and return whether the episode was kept."""
        assert self._open is not None
        (future, keep), self._open = self._open, None
        try:
            saved = future.result()
        except VgilError as error:
            self._alerts.log(str(error), severity="error")
            return False
        if saved is not None:
            verdict = "" if success is None else ", success" if success else ", no success"
            self._alerts.log(f"saved {saved} ({saved.stat().st_size / 1e6:.1f} MB{verdict})")
        return keep

    def wait(self) -> bool:
        """Wait, as the process ends; False where a file could not be closed."""
        if self._open is None:
            return True
        try:
            saved = self._open[0].result(timeout=TIMEOUT_S)
            if saved is not None:
                self._alerts.log(f"saved {saved}")
        except ClosingTakesLong:
            words = f"the episode is not closed after {TIMEOUT_S:.0f} s; waiting for the disk"
            self._alerts.log(words, severity="error")
        except VgilError as error:
            self._alerts.log(str(error), severity="error")
            return False
        return True
