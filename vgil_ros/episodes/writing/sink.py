"""Samples of one episode at a time, to the episode writer; closing happens beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from vgil_ros.core.contract import Contract
from vgil_ros.core.episode_label import Verdict
from vgil_ros.core.errors import VgilError
from vgil_ros.core.streams import StreamSpec
from vgil_ros.core.sync import Sample
from vgil_ros.core.timesteps import EpisodeRow, ObservationBuilder, RowBuilder
from vgil_ros.episodes import h5, naming
from vgil_ros.episodes.checks.check import check_saved
from vgil_ros.episodes.checks.findings import Finding, Report
from vgil_ros.episodes.curation.labels import success_of
from vgil_ros.episodes.errors import NothingSaved, Overrun, WriteFailed
from vgil_ros.episodes.meta import EpisodeMeta
from vgil_ros.episodes.raw_log.log_file import LogFile
from vgil_ros.episodes.writer import EpisodeWriter


@dataclass(frozen=True)
class EpisodeEnd:
    """An episode's file as it lies on the disk.

    Attributes:
        path: the file.
        rows: T.
        bytes: its size.
        report: what the check at its end found.
        aborted: why it was not recorded to its end; None where it was.
        without_log: why its raw log is not there or not whole; None where it is, and where none was wanted.
    """

    path: Path
    rows: int
    bytes: int
    report: Report
    aborted: str | None = None
    without_log: str | None = None

    def words(self, success: bool | None, label: Verdict | None, remedy: str) -> tuple[str, Literal["info", "warning"]]:
        """One line for the operator.

        Args:
            success: what a topic said of the task.
            label: what the operator said, which counts for more.
            remedy: what to do about a bad one.
        """
        verdict = "" if success is None else ", success" if success else ", no success"
        if label is not None:
            verdict = f", labelled {label}"
        line = f"saved {self.path}, {self.rows} rows, {self.bytes / 1e6:.1f} MB{verdict}"
        if self.aborted is not None:
            return f"{line}; it lies apart and does not count, as it was aborted", "warning"
        errors = [f"{finding.stream}: {finding.message}" for finding in self.report.errors]
        if errors:
            more = f" and {len(errors) - 1} more, see `vgil episodes check`" if len(errors) > 1 else ""
            return f"{line}, BAD: {errors[0]}{more}; {remedy}", "warning"
        return line, "info"


@dataclass(frozen=True)
class Recording:
    """What is the same for all episodes of a session.

    Attributes:
        contract: with the `jpeg_order` that was asked for.
        contract_text: its YAML, as it is in the file.
        jpeg_order: what was asked for.
        words: operator, object, scene and note, as given.
        takeover: a human can take over, and rows say who acted.
    """

    contract: Contract
    contract_text: str
    streams: tuple[StreamSpec, ...]
    dataset_dir: Path
    task: str = ""
    image_format: str = "jpeg"
    quality: int = 90
    jpeg_order: str = "contract"
    min_free_bytes: int = 2 * 1024**3
    words: Mapping[str, str] = field(default_factory=dict)
    takeover: bool = False


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
        return naming.final_of(self._writer.part).name if self._writer else None

    @property
    def part(self) -> Path | None:
        """The running episode's file as it is written; None before its first row."""
        return self._writer.part if self._writer else None

    @property
    def full(self) -> bool:
        """Whether `push` would leave a row out now; who can wait asks first."""
        return self._writer is not None and self._writer.full

    def open(self, task: str | None = None, words: Mapping[str, str] | None = None) -> None:
        """Begin an episode; its file is made with its first row. Task and words: from now on others than before."""
        if task is not None:
            self.recording = replace(self.recording, task=task)
        if words is not None:
            self.recording = replace(self.recording, words=dict(words))
        self._builder, self._writer, self.dropped = RowBuilder(self._observations), None, 0

    def push(
        self,
        sample: Sample,
        marker: float,
        action: np.ndarray | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> bool:
        """Take a sample, and the action (D,) done at it where no master gave it; `beside`: see `EpisodeWriter.append`.

        Returns:
            Whether the row before it was taken: False where rows wait already and it was left out.

        Raises:
            VgilError: where no file can be made, or writing has stopped (disk full).
        """
        assert self._builder is not None
        row = self._builder.push(sample, marker, action, beside)
        return row is None or self._append(row)

    def skip(self, sample: Sample, marker: float) -> None:
        """As `push`, and leave the row before it out, as it was when it was recorded."""
        assert self._builder is not None
        if self._builder.push(sample, marker) is not None:
            self.dropped += 1

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
                beside=row.beside,
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
            takeover=r.takeover,
        )
        return EpisodeWriter(r.dataset_dir, meta, min_free_bytes=r.min_free_bytes)

    def close(
        self,
        success: bool | None = None,
        *,
        label: Verdict | None = None,
        aborted: str | None = None,
        warnings: Sequence[str] = (),
        log: LogFile | None = None,
        **more: Any,
    ) -> Future[EpisodeEnd | None]:
        """Save the episode and check it, in a thread of its own.

        Args:
            success: what a topic said of the task.
            label: what the operator said, which counts for more.
            aborted: why it was not recorded to its end.
            warnings: what was not as it should be while it was recorded.
            log: its raw log, ended; it gets the episode's name.
            more: further root attributes, and `tasks` of `EpisodeWriter.close`.

        Returns:
            A future of its file, None where it had no row; or it raises a VgilError.
        """
        builder, writer, dropped = self._builder, self._writer, self.dropped
        self._builder = self._writer = None
        if label is not None:
            success, more = success_of(label), more | {"label": label}

        def save() -> EpisodeEnd | None:
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

        return self._pool.submit(lambda: _with_log(save(), log))

    def notes(self) -> tuple[str, ...]:
        """In words: what the running episode lacks; see `EpisodeWriter.notes`."""
        return self._writer.notes() if self._writer else ()

    def discard(self, log: LogFile | None = None) -> Future[None]:
        """Throw the running episode away, and its raw log, which has ended."""
        writer = self._writer
        self._builder = self._writer = None

        def work() -> None:
            if log is not None:
                log.discard()
            if writer is not None:
                writer.discard()

        return self._pool.submit(work)


def _with_log(end: EpisodeEnd | None, log: LogFile | None) -> EpisodeEnd | None:
    """Give a raw log the name of the episode that was saved; there is none without an episode."""
    if log is None:
        return end
    if end is None:
        log.discard()
        return None
    try:
        log.close(naming.log_of(end.path))
    except WriteFailed as error:
        return replace(end, without_log=str(error))
    if log.lost:
        return replace(end, without_log=f"{naming.log_of(end.path).name}: {log.lost_words}")
    return end


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
