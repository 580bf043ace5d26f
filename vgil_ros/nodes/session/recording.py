"""Rows of one episode at a time, from the node's thread to the episode writer; closing happens beside it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.core.layout import Layout
from vgil_ros.core.safety import Command
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import EpisodeRow, ObservationBuilder, RowBuilder
from vgil_ros.episodes import h5
from vgil_ros.episodes.checks.check import check_saved
from vgil_ros.episodes.checks.findings import Finding, Report
from vgil_ros.episodes.curation.labels import success_of
from vgil_ros.episodes.errors import NothingSaved, Overrun, WriteFailed
from vgil_ros.episodes.meta import EpisodeMeta
from vgil_ros.episodes.naming import final_of
from vgil_ros.episodes.writer import EpisodeWriter
from vgil_ros.nodes.base.alerts import Alerts
from vgil_ros.nodes.session.closing import EpisodeEnd


@dataclass(frozen=True)
class Recording:
    """What is the same for all episodes of a session; `words` are operator, object, scene and note, as given."""

    contract: Contract
    contract_text: str
    streams: tuple[StreamSpec, ...]
    dataset_dir: Path
    task: str = ""
    image_format: str = "jpeg"
    quality: int = 90
    min_free_bytes: int = 2 * 1024**3
    words: Mapping[str, str] = field(default_factory=dict)


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

    @property
    def file(self) -> str | None:
        """What the running episode's file will be called; None before its first row."""
        return final_of(self._writer.part).name if self._writer else None

    def open(self) -> None:
        """Begin an episode; its file is made with its first row."""
        self._builder, self._writer, self.dropped = RowBuilder(self._observations), None, 0

    def push(self, sample: Sample, marker: float, action: np.ndarray | None = None) -> bool:
        """Take a sample, and the action (D,) done at it where no master gave it.

        Returns:
            Whether the row before it was taken: False where rows wait already and it was left out.

        Raises:
            VgilError: where no file can be made, or writing has stopped (disk full).
        """
        assert self._builder is not None
        row = self._builder.push(sample, marker, action)
        return row is None or self._append(row)

    def _append(self, row: EpisodeRow) -> bool:
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
            return False
        return True

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
            words=r.words,
        )
        return EpisodeWriter(r.dataset_dir, meta, min_free_bytes=r.min_free_bytes)

    def close(
        self,
        success: bool | None = None,
        *,
        label: Verdict | None = None,
        aborted: str | None = None,
        warnings: Sequence[str] = (),
        **more: Any,
    ) -> Future[EpisodeEnd | None]:
        """Save the episode and check it, in a thread of its own.

        Args:
            success: what a topic said of the task.
            label: what the operator said, which counts for more.
            aborted: why it was not recorded to its end.
            warnings: what was not as it should be while it was recorded.
            more: further root attributes.

        Returns:
            A future of its file, None where it had no row; or it raises a VgilError.
        """
        builder, writer, dropped = self._builder, self._writer, self.dropped
        self._builder = self._writer = None
        if label is not None:
            success, more = success_of(label), more | {"label": label}

        def work() -> EpisodeEnd | None:
            if writer is None or builder is None:
                return None
            try:
                return _end(writer, builder, success, aborted, dropped, tuple(warnings), more)
            except NothingSaved:
                return None
            except VgilError:
                raise
            except Exception as error:  # in a thread of its own: the node would end with its trace
                raise WriteFailed(f"{writer.part}: could not be closed ({error}); see `vgil episodes list`") from error

        return self._pool.submit(work)

    def notes(self) -> tuple[str, ...]:
        """In words: what the running episode lacks; see `EpisodeWriter.notes`."""
        return self._writer.notes() if self._writer else ()

    def discard(self) -> Future[None]:
        """Throw the running episode away."""
        writer = self._writer
        self._builder = self._writer = None
        return self._pool.submit(writer.discard if writer else lambda: None)


def _end(
    writer: EpisodeWriter,
    builder: RowBuilder,
    success: bool | None,
    aborted: str | None,
    dropped: int,
    warnings: tuple[str, ...],
    attributes: dict[str, Any],
) -> EpisodeEnd:
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
        except VgilError as error:  # it is no reason to lose the rows before it
            warnings = (*warnings, f"the observation after the last action is left out: {error}")
    if writer.error is not None and aborted is None:
        aborted = str(writer.error)  # it met its end after the last row was handed on
    if warnings:
        attributes = attributes | {"warnings": h5.text_array(list(warnings))}
    path = writer.close(success, dropped_rows=dropped, aborted=aborted, **attributes)
    try:
        report = check_saved(path, writer.scan)
    except Exception as error:  # the file is there, whatever a check thinks of it
        words = f"cannot be checked ({type(error).__name__}: {error}); look at it with `vgil episodes show`"
        report = Report(path, (Finding("error", "check", path.name, words),))
    return EpisodeEnd(path, writer.saved_rows, path.stat().st_size, report, aborted)


REMEMBER = 64  # ticks; an observation comes out at most a few ticks after its time


class RolloutSink:
    """Pairs observations with commands by tick. Without a folder it does nothing."""

    def __init__(self, alerts: Alerts, sink: EpisodeSink | None, marker: bool) -> None:
        self._alerts, self._sink, self._marker = alerts, sink, marker
        self._commands: dict[int, np.ndarray] = {}
        self._waiting: deque[tuple[int, Sample]] = deque(maxlen=REMEMBER)
        self._acted = -1
        self._pairs = self._wanted = 0
        self._failed: str | None = None

    @classmethod
    def of(cls, alerts: Alerts, recording: Recording | None, dry_run: bool) -> RolloutSink:
        """Make one; None records nothing. Neither does a dry run, which sends nothing."""
        if recording is not None and dry_run:
            alerts.log("dry run: no rollout is recorded, as no command is sent", severity="warning")
        if recording is None or dry_run:
            return cls(alerts, None, False)
        sink = EpisodeSink(recording, ObservationBuilder(Layout(recording.contract), recording.streams))
        return cls(alerts, sink, recording.contract.end_marker is not None)

    def open(self, length: int = 0) -> None:
        """An episode begins, of so many rows; 0: of as many as come."""
        self._commands.clear()
        self._waiting.clear()
        self._acted, self._pairs, self._failed = -1, 0, None
        self._wanted = length + 1 if length else 0  # the last one becomes the final observation
        self._alerts.clear("rollout")
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

    @property
    def pairs(self) -> int | None:
        """Observations that were recorded with their command; None where none are."""
        return self._pairs if self._sink is not None and self._failed is None else None

    @property
    def aborted(self) -> str | None:
        """Why it is recorded no further, or None."""
        return self._failed

    def _pair(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._acted:
            tick, sample = self._waiting.popleft()
            action = self._commands.pop(tick, None)
            if action is not None:
                self._push(sample, action)

    def _push(self, sample: Sample, action: np.ndarray) -> None:
        assert self._sink is not None
        if self._failed is not None or self._pairs == self._wanted > 0:  # observations may come several at once
            return
        try:
            self._pairs += self._sink.push(sample, 0.0, action)
        except VgilError as error:
            self._failed = str(error)
            self._alerts.warn_once("rollout", f"the rollout is recorded no further: {error}")

    def close(
        self,
        success: bool | None,
        *,
        label: Verdict | None = None,
        aborted: str | None = None,
        warnings: Sequence[str] = (),
    ) -> Future[EpisodeEnd | None]:
        """Save it; the future gives its file, None where nothing is recorded."""
        if self._sink:
            aborted = aborted or self._failed
            return self._sink.close(success, label=label, aborted=aborted, warnings=warnings, rollout=True)
        return _done()

    def discard(self) -> Future[None]:
        """Throw it away."""
        return self._sink.discard() if self._sink else _done()


def _done() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(None)
    return future
